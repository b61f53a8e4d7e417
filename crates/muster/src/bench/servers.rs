//! The servers that are measured: Muster's own, and the brokers it is compared with.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::context::Context;
use super::enrolled::Enrolled;
use super::error::{BenchError, Result};
use super::host;
use super::http::Http;
use super::load::{Maker, Securer};
use super::options::Broker;
use super::process::{Program, free_address};
use super::wire::{Live, Mqtt, Muster, Nats, Speaker, WebSocket};

/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Who is measured, and over which transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Muster,
    MosquittoTcp,
    MosquittoWebSocket,
    NatsTcp,
    NatsWebSocket,
}

impl Subject {
    /// The ways to speak to a broker.
    pub(super) fn of(broker: Broker) -> [Self; 2] {
        match broker {
            Broker::Mosquitto => [Self::MosquittoTcp, Self::MosquittoWebSocket],
            Broker::Nats => [Self::NatsTcp, Self::NatsWebSocket],
        }
    }

    /// As in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::MosquittoTcp => "mosquitto TCP",
            Self::MosquittoWebSocket => "mosquitto WebSocket",
            Self::NatsTcp => "nats TCP",
            Self::NatsWebSocket => "nats WebSocket",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::MosquittoTcp | Self::MosquittoWebSocket => "mosquitto",
            Self::NatsTcp | Self::NatsWebSocket => "nats-server",
        }
    }
}

/// Where a server is: for machines, for questions about its health, and for people.
type Addresses = (SocketAddr, SocketAddr, SocketAddr);

/// How a server is started.
#[derive(Clone, Default)]
pub(super) struct Setup {
    /// Flags of `muster serve` besides addresses and data.
    pub(super) flags: Vec<&'static str>,
    /// The data directory of a server that was started before.
    pub(super) data: Option<PathBuf>,
    /// The addresses of a server that was started before.
    pub(super) addresses: Option<Addresses>,
    /// Whether what is sent is to be acknowledged.
    pub(super) acknowledged: bool,
    /// Whom the server lets in, each by its certificate; none: everything is plain.
    pub(super) enrolled: Option<Rc<Enrolled>>,
}

impl Setup {
    /// A server that lets in these, by their certificates.
    pub(super) fn secured(enrolled: &Rc<Enrolled>) -> Self {
        Self {
            enrolled: Some(enrolled.clone()),
            ..Self::default()
        }
    }
}

/// A server that runs.
pub(super) struct Target {
    pub(super) subject: Subject,
    pub(super) program: Program,
    /// Where machines connect.
    pub(super) address: SocketAddr,
    /// Where Muster tells of its health.
    pub(super) admin: SocketAddr,
    /// Where people connect to Muster: where machines do, unless those have certificates.
    pub(super) people: SocketAddr,
    enrolled: Option<Rc<Enrolled>>,
    /// What it keeps.
    pub(super) directory: PathBuf,
}

impl Target {
    /// Starts a server and waits until it takes connections.
    pub(super) fn start(context: &mut Context, subject: Subject, setup: &Setup) -> Result<Self> {
        let mut target = Self::spawn(context, subject, setup)?;
        target.program.wait_for_port(target.address, &context.stop)?;
        Ok(target)
    }

    /// Starts a server.
    pub(super) fn spawn(context: &mut Context, subject: Subject, setup: &Setup) -> Result<Self> {
        let directory = match &setup.data {
            Some(data) => data.clone(),
            None => {
                let directory = context.fresh_directory(subject.program())?;
                if let (Subject::Muster, Some(enrolled)) = (subject, &setup.enrolled) {
                    enrolled.copy_to(&directory)?;
                }
                directory
            }
        };
        let (address, admin, people) = match (setup.addresses, &setup.enrolled) {
            (Some(addresses), _) => addresses,
            (None, Some(_)) => (free_address()?, free_address()?, free_address()?),
            (None, None) => {
                let address = free_address()?;
                (address, free_address()?, address)
            }
        };
        let core = context.cores.server;
        let (executable, arguments) = match subject {
            Subject::Muster => muster(&directory, (address, admin, people), setup)?,
            Subject::MosquittoTcp | Subject::MosquittoWebSocket => {
                mosquitto(&directory, address, admin, subject, setup)?
            }
            Subject::NatsTcp | Subject::NatsWebSocket => nats(&directory, address, admin, subject, setup)?,
        };
        let program = Program::start(subject.program(), core, &directory, &executable, &arguments)?;
        Ok(Self {
            subject,
            program,
            address,
            admin,
            people,
            enrolled: setup.enrolled.clone(),
            directory,
        })
    }

    /// Makes what its clients speak.
    pub(super) fn speakers(&self, acknowledged: bool) -> Maker {
        let host = self.address.to_string();
        match self.subject {
            Subject::Muster => {
                let enrolled = self.enrolled.clone();
                Box::new(move |index| match &enrolled {
                    None => Box::new(Muster::connect(index, host.clone())),
                    Some(enrolled) => {
                        let machine = enrolled.id(index).to_string();
                        Box::new(Muster::connect_as(machine, host.clone()))
                    }
                })
            }
            Subject::MosquittoTcp => Box::new(|index| Box::new(Mqtt::new(index))),
            Subject::MosquittoWebSocket => Box::new(move |index| {
                Box::new(WebSocket::binary(
                    Mqtt::new(index),
                    host.clone(),
                    "/",
                    Some("mqtt"),
                ))
            }),
            Subject::NatsTcp => Box::new(move |index| Box::new(Nats::new(index, acknowledged))),
            Subject::NatsWebSocket => Box::new(move |index| {
                Box::new(WebSocket::binary(
                    Nats::new(index, acknowledged),
                    host.clone(),
                    "/",
                    None,
                ))
            }),
        }
    }

    /// How its clients encrypt what they say; none where nothing is encrypted.
    pub(super) fn securer(&self) -> Option<Securer> {
        let enrolled = self.enrolled.clone()?;
        Some(Box::new(move |index| enrolled.machine(index)))
    }

    /// A client of the API: an admin, who is signed in where people are.
    pub(super) fn http(&self) -> Result<Http> {
        match &self.enrolled {
            Some(enrolled) => Http::sign_in(self.people, enrolled),
            None => Http::connect(self.people),
        }
    }

    /// Makes what clients speak that listen to all the others.
    pub(super) fn subscriber(subject: Subject, host: &str, index: usize) -> Box<dyn Speaker> {
        let host = host.to_owned();
        match subject {
            Subject::Muster => Box::new(Live::connect(host)),
            Subject::MosquittoTcp => Box::new(Mqtt::subscriber(index)),
            Subject::MosquittoWebSocket => Box::new(WebSocket::binary(
                Mqtt::subscriber(index),
                host,
                "/",
                Some("mqtt"),
            )),
            Subject::NatsTcp => Box::new(Nats::subscriber(index)),
            Subject::NatsWebSocket => Box::new(WebSocket::binary(Nats::subscriber(index), host, "/", None)),
        }
    }

    /// Waits until Muster says that it is ready.
    pub(super) fn wait_until_ready(&mut self, context: &Context) -> Result<()> {
        let began = Instant::now();
        loop {
            let answer = Http::connect(self.admin).and_then(|mut http| http.get("/readyz"));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            self.program.check()?;
            context.check()?;
            if began.elapsed() > READY_WITHIN {
                return Err(self.program.error("is not ready within its time"));
            }
            host::sleep(Duration::from_millis(1));
        }
    }

    /// How it is started again: with the same data, at the same addresses.
    pub(super) fn again(&self, flags: &[&'static str]) -> Setup {
        Setup {
            flags: flags.to_vec(),
            data: Some(self.directory.clone()),
            addresses: Some((self.address, self.admin, self.people)),
            acknowledged: false,
            enrolled: self.enrolled.clone(),
        }
    }

    /// Ends it at once and removes what it kept.
    pub(super) fn discard(self, context: &Context) {
        self.program.kill();
        context.remove(&self.directory);
    }
}

type Line = (PathBuf, Vec<OsString>);

fn muster(directory: &Path, (address, admin, people): Addresses, setup: &Setup) -> Result<Line> {
    let own = std::env::current_exe().map_err(BenchError::system("this executable cannot be found"))?;
    let mut arguments: Vec<OsString> = ["serve", "--log-level", "error"].map(Into::into).to_vec();
    match setup.enrolled {
        None => arguments.push("--trust-loopback".into()),
        Some(_) => arguments.extend(["--machines-listen".into(), address.to_string().into()]),
    }
    for (flag, address) in [("--listen", people), ("--admin-listen", admin)] {
        arguments.extend([flag.into(), address.to_string().into()]);
    }
    arguments.push("--data".into());
    arguments.push(directory.join("data").into());
    arguments.extend(setup.flags.iter().map(Into::into));
    Ok((own, arguments))
}

fn mosquitto(
    directory: &Path,
    address: SocketAddr,
    other: SocketAddr,
    subject: Subject,
    setup: &Setup,
) -> Result<Line> {
    let (plain, web) = match subject {
        Subject::MosquittoWebSocket => (other.port(), address.port()),
        _ => (address.port(), other.port()),
    };
    // As root it would become another user, who may not read the directory.
    let user = if rustix::process::geteuid().is_root() {
        "user root\n"
    } else {
        ""
    };
    // Version 2.0.11 does not start with a WebSocket listener alone, and without `socket_domain` that one is open to all.
    // What follows a listener is about that listener.
    let secured = match &setup.enrolled {
        None => String::new(),
        Some(enrolled) => {
            let files = enrolled.broker(directory)?;
            let (authority, certificate, key) = (
                files.authority.display(),
                files.certificate.display(),
                files.key.display(),
            );
            format!(
                "cafile {authority}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\ntls_version tlsv1.3\n"
            )
        }
    };
    let configuration = format!(
        "{user}listener {plain} 127.0.0.1\nprotocol mqtt\n{secured}\
         listener {web} 127.0.0.1\nsocket_domain ipv4\nprotocol websockets\n{secured}\
         allow_anonymous true\npersistence false\nlog_dest stderr\nlog_type error\n\
         max_connections -1\nmax_inflight_messages 0\nset_tcp_nodelay true\n"
    );
    let path = write(directory, "mosquitto.conf", &configuration)?;
    Ok((find(Broker::Mosquitto)?, vec!["-c".into(), path.into()]))
}

fn nats(
    directory: &Path,
    address: SocketAddr,
    other: SocketAddr,
    subject: Subject,
    setup: &Setup,
) -> Result<Line> {
    let (plain, web) = match subject {
        Subject::NatsWebSocket => (other, Some(address)),
        _ => (address, None),
    };
    let mut configuration = format!("listen: \"{plain}\"\nmax_connections: 200000\n");
    if let Some(web) = web {
        let secured = match &setup.enrolled {
            None => "no_tls: true".to_owned(),
            Some(enrolled) => {
                let files = enrolled.broker(directory)?;
                format!(
                    "tls {{ ca_file: {:?}, cert_file: {:?}, key_file: {:?}, verify: true }}",
                    files.authority, files.certificate, files.key
                )
            }
        };
        configuration += &format!("websocket {{ listen: \"{web}\", {secured} }}\n");
    }
    if setup.acknowledged {
        configuration += &format!("jetstream {{ store_dir: {:?} }}\n", directory.join("jetstream"));
    }
    let path = write(directory, "nats.conf", &configuration)?;
    Ok((find(Broker::Nats)?, vec!["-c".into(), path.into()]))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(|source| BenchError::File {
        path: path.clone(),
        done: "written",
        source,
    })?;
    Ok(path)
}

/// Where a broker is installed. Debian keeps both where only root looks.
pub(super) fn find(broker: Broker) -> Result<PathBuf> {
    let (name, how) = match broker {
        Broker::Mosquitto => (
            "mosquitto",
            "on Debian `apt-get install mosquitto`; elsewhere see mosquitto.org/download",
        ),
        Broker::Nats => (
            "nats-server",
            "on Debian `apt-get install nats-server`; elsewhere see docs.nats.io",
        ),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .ok_or(BenchError::NotInstalled { name, how })
}
