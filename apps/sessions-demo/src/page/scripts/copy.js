// A button beside each command that copies it. Browsers have no clipboard for plain HTTP, but for
// that of their own machine.
const commands = navigator.clipboard ? document.querySelectorAll('.curl pre') : [];
for (const command of commands) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    const writing = navigator.clipboard.writeText(command.textContent);
    const copied = await writing.then(() => true, () => false);
    button.textContent = copied ? 'Copied' : "Can't copy";
    button.classList.toggle('danger', !copied);
    setTimeout(() => {
      button.textContent = 'Copy';
      button.classList.remove('danger');
    }, 2000);
  });
  command.after(button);
}
