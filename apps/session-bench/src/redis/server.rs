//! Starts a Redis server for the time of a measurement.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a server that writes nothing to disk. Returns `None` if there is no `redis-server`.
    pub fn start() -> io::Result<Option<Self>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let started = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        let server = match started {
            Ok(child) => Self { child, port },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for _ in 0..100 {
            if server.connect().is_ok() {
                return Ok(Some(server));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other("redis-server does not listen"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Counts the commands that clients send while `work` runs. Commands inside a script are not
    /// sent, so they don't count.
    pub fn watch(&self, work: impl FnOnce()) -> io::Result<usize> {
        const END: &str = "the end of the watch";
        let mut monitor = self.connect()?;
        monitor.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(monitor).lines();
        lines.next().transpose()?;
        work();
        let end = format!("ECHO \"{END}\"\r\n");
        self.connect()?.write_all(end.as_bytes())?;
        let mut commands = 0;
        for line in lines {
            let line = line?;
            if line.contains(END) {
                break;
            }
            // A line is `time [database client] "command" ...`; the client of a script's commands
            // is `lua`.
            commands += usize::from(!line.contains(" lua] "));
        }
        Ok(commands)
    }

    /// Returns the processor time of the server.
    pub fn processor_time(&self) -> io::Result<Duration> {
        processor_time(&self.child.id().to_string())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
    }
}

/// Returns the processor time of the main thread of a process.
pub fn processor_time(process: &str) -> io::Result<Duration> {
    // The first number is nanoseconds on a processor (proc(5), schedstat).
    let path = format!("/proc/{process}/schedstat");
    let text = fs::read_to_string(path)?;
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| io::Error::other("no times in schedstat"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
