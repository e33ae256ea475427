//! What tests do with a database server, whichever it is.

/// A database server on a free port, with a folder of its own; killed when dropped.
///
/// What doesn't work panics. A server that is stopped, killed or frozen has to run, and one that is
/// restarted must not.
pub trait DatabaseServer: Sized + 'static {
    /// Starts a server and waits until it serves. What it acknowledges outlasts its own crash.
    fn start() -> Self;

    /// Starts a server that never waits for the disk: it may lose what it acknowledged when it
    /// crashes.
    fn start_quick() -> Self;

    /// Starts it again, after [`stop`](Self::stop) or [`kill`](Self::kill), and waits until it
    /// serves.
    fn restart(&mut self);

    /// The URL of its database, with [`USER`](crate::USER) and [`PASSWORD`](crate::PASSWORD).
    fn url(&self) -> String;

    /// The port on 127.0.0.1.
    fn port(&self) -> u16;

    /// Runs statements as an administrator, and returns what they print.
    fn run(&self, sql: &str) -> String;

    /// Shuts it down in good order: it cuts its connections and writes everything.
    fn stop(&mut self);

    /// Ends it as a crash would: none of its processes does anything more.
    fn kill(&mut self);

    /// Stops its processes (SIGSTOP): connections stay open, and nothing answers.
    fn freeze(&self);

    /// Lets stopped processes go on.
    fn thaw(&self);

    /// Restarts it so that nobody can write to it.
    fn demote(&mut self);

    /// Makes a server that nobody could write to, or a replica, one that takes writes.
    fn promote(&mut self);
}
