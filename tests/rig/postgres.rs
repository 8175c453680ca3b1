//! A real PostgreSQL that takes nothing but TLS: the server of Debian's package `postgresql`, with a certificate by an
//! authority of its own.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

const USER: &str = "crunch";
const PASSWORD: &str = "correct horse battery staple";
/// The database that `initdb` makes for people.
const DATABASE: &str = "postgres";

const MISSING: &str = "PostgreSQL is not installed; run: apt-get install --yes postgresql";

/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who may come in: whoever speaks TLS and knows the password.
const ADMISSION: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\n";

/// As often a port may be taken by somebody else between our finding it free and the server's listening at it.
const PORTS_TRIED: usize = 5;

/// Runs the server for as long as we hold the other end of standard input, then removes its folder. So it ends with this
/// process however that ends: what lies in a static is never dropped, and who is killed drops nothing. Told to quit, the
/// server drops its connections, and kills what is left of itself after five seconds.
const KEEPER: &str = r#"
trap '' HUP INT TERM
folder=$1
shift
"$@" &
exec 2>/dev/null
read -r _
kill -QUIT $!
wait
rm -rf "$folder"
"#;

/// A started server; stopped when dropped, and at the end of this process.
pub struct Postgres {
    keeper: Child,
    port: u16,
    ca: String,
    other_ca: String,
}

impl Postgres {
    /// The server that tests of this process share. Its certificate is for `localhost` alone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["localhost"]))
    }

    /// Starts a server of one's own, with a certificate for these names and addresses.
    pub fn start(names: &[&str]) -> Self {
        let ca = authority("the rig's authority");
        let other = authority("another authority");
        let mut said = String::new();
        for _ in 0..PORTS_TRIED {
            match serve(Cluster::new(&ca, names)) {
                Ok((keeper, port)) => {
                    return Self {
                        keeper,
                        port,
                        ca: ca.pem(),
                        other_ca: other.pem(),
                    };
                }
                Err(log) => said = log,
            }
            if !said.contains("Address already in use") {
                break;
            }
        }
        panic!("PostgreSQL does not start: {said}");
    }

    /// Where it listens, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that signed the server's.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// The certificate of an authority that signed nothing here.
    pub fn other_ca_pem(&self) -> &str {
        &self.other_ca
    }

    pub fn user(&self) -> &str {
        USER
    }

    pub fn password(&self) -> &str {
        PASSWORD
    }

    pub fn database(&self) -> &str {
        DATABASE
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Lets go of its standard input first.
        let _ = self.keeper.wait();
    }
}

/// A folder with a server's data and settings.
struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<Owner>,
}

/// Whom the server runs as where we are root, whom it refuses.
struct Owner {
    user: u32,
    group: u32,
}

impl Cluster {
    fn new(ca: &CertifiedIssuer<'_, KeyPair>, names: &[&str]) -> Self {
        let cluster = Self {
            // Not where `TMPDIR` says: another user must be able to go there.
            folder: tempfile::Builder::new()
                .prefix("postgres-")
                .tempdir_in("/tmp")
                .unwrap(),
            programs: programs(),
            owner: Owner::other_than_root(),
        };
        let (certificate, key) = certified(ca, names);
        cluster.write("certificate.pem", &certificate);
        cluster.write("key.pem", &key);
        cluster.write("pg_hba.conf", ADMISSION);
        cluster.write("password", PASSWORD);
        cluster.give(cluster.folder.path());
        let made = cluster
            .command(&cluster.programs.join("initdb"))
            .args(["--pgdata", "data", "--username", USER])
            .args(["--pwfile", "password", "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--no-locale"])
            .args(["--no-sync", "--no-instructions"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
        cluster
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        // The server takes no key that others may read.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        self.give(&path);
    }

    fn give(&self, path: &Path) {
        if let Some(Owner { user, group }) = self.owner {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// A command in the folder, as its owner, with nothing of our environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Owner {
    fn other_than_root() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
        let account = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == "postgres")
            .expect(MISSING);
        Some(Self {
            user: account[2].parse().unwrap(),
            group: account[3].parse().unwrap(),
        })
    }
}

/// Starts the server at a free port, and returns when it answers; or tells what it said instead.
fn serve(cluster: Cluster) -> Result<(Child, u16), String> {
    let port = free_port();
    let mut command = cluster.command(Path::new("/bin/sh"));
    command.args(["-c", KEEPER, "keeper"]);
    command.arg(cluster.folder.path());
    command.arg(cluster.programs.join("postgres"));
    command.args(["-D", "data", "-p", &port.to_string()]);
    // No socket in the file system: only TLS is an entry.
    command.args(["-h", "127.0.0.1", "-k", ""]);
    let folder = cluster.folder.path().display();
    for setting in [
        format!("hba_file={folder}/pg_hba.conf").as_str(),
        "ssl=on",
        format!("ssl_cert_file={folder}/certificate.pem").as_str(),
        format!("ssl_key_file={folder}/key.pem").as_str(),
        // Nobody needs the data after a power cut.
        "fsync=off",
        "full_page_writes=off",
        "synchronous_commit=off",
    ] {
        command.args(["-c", setting]);
    }
    let mut keeper = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The keeper's from now on.
    let _ = cluster.folder.keep();
    let stderr = keeper.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let mut said = String::new();
    for line in lines.by_ref() {
        if line.ends_with("ready to accept connections") {
            // The server stops at a pipe that is full.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((keeper, port));
        }
        said.extend([&line, "\n"]);
    }
    let _ = keeper.wait();
    Err(said)
}

/// The programs of the newest version that has a server.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten();
    let versions =
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let programs = |version: u32| Path::new(VERSIONS).join(format!("{version}/bin"));
    let newest = versions
        .filter(|version| programs(*version).join("initdb").is_file())
        .max();
    programs(newest.expect(MISSING))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority that vouches for itself. Two of them need two names to be told apart.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate for these names and addresses, and its key.
fn certified(ca: &CertifiedIssuer<'_, KeyPair>, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "the rig's PostgreSQL");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    (certificate.pem(), key.serialize_pem())
}
