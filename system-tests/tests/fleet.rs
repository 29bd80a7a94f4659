//! The network that tests of many hosts stand on: what is done to its network really happens.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chameleon_system_tests::{Network, network};

/// Whether one host gets a connection to another within a second.
fn reaches(wires: &Network, from: u16, to: u16) -> bool {
    let listen = ["python3", "-c", LISTENER, &wires.endpoint(to)];
    let mut listener =
        Command::new("nsenter").arg(wires.enter(to)).args(listen).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let out = listener.stdout.take().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("it says that it listens");
    let script = format!("exec 3<>/dev/tcp/{}", wires.endpoint(to).replace(':', "/"));
    let dial = ["timeout", "1", "bash", "-c", &script];
    let status = Command::new("nsenter").arg(wires.enter(from)).args(dial).stderr(Stdio::null()).status();
    listener.kill().and_then(|()| listener.wait()).expect("the listener ends");
    status.is_ok_and(|status| status.success())
}

/// How long a network may take to carry again: a host looks for its neighbour's address anew, and a lost greeting is
/// repeated after a second, then after two, four …
const HEALING: Duration = Duration::from_secs(30);

/// Whether one host comes to get a connection to another.
fn comes_to_reach(wires: &Network, from: u16, to: u16) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < HEALING {
        if reaches(wires, from, to) {
            return true;
        }
    }
    false
}

const LISTENER: &str = "import socket,sys\n\
    host,port=sys.argv[1].split(':')\n\
    s=socket.create_server((host,int(port)))\n\
    print('listens',flush=True)\n\
    while True: s.accept()";

#[test]
fn cables_mutes_and_deafness_are_what_they_say() {
    if !network::is_possible() || !chameleon_system_tests::skip::has(&["python3", "bash", "timeout"]) {
        return;
    }
    let wires = Network::wire(3);
    assert!(comes_to_reach(&wires, 1, 2), "they are wired");
    wires.cable(2, false);
    assert!(!reaches(&wires, 1, 2), "the cable is pulled");
    assert!(comes_to_reach(&wires, 1, 3), "of that host only");
    wires.cable(2, true);
    assert!(comes_to_reach(&wires, 1, 2), "the cable is plugged");
    wires.mute(2);
    assert!(!reaches(&wires, 1, 2), "no answer comes from a mute host");
    wires.heal();
    assert!(comes_to_reach(&wires, 1, 2), "a host that was mute is healed");
    wires.deafen(2);
    assert!(!reaches(&wires, 1, 2), "nothing comes to a deaf host");
    wires.heal();
    assert!(comes_to_reach(&wires, 1, 2), "a host that was deaf is healed");
}
