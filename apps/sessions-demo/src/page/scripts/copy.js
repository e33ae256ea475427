// A button beside each command that copies it. Browsers have no clipboard for plain HTTP, but for
// that of their own machine.
const commands = navigator.clipboard ? document.querySelectorAll('.curl pre') : [];
for (const command of commands) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    const copied = navigator.clipboard.writeText(command.textContent);
    button.textContent = await copied.then(() => 'Copied', () => "Can't copy");
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  });
  command.after(button);
}
