//! The languages of the snippets: what each needs, how it is built, and what its rules look like in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fmt, fs, io};

use tempfile::TempDir;

/// A language that has a snippet.
pub(crate) struct Language {
    pub(crate) file: &'static str,
    /// How a code block of it begins.
    pub(crate) fence: &'static str,
    /// Programs, each with a call that does nothing.
    needs: &'static [[&'static str; 2]],
    /// Makes a program of the source in the folder, and tells the words that run it.
    build: fn(&Path) -> Vec<String>,
    pub(crate) rules: [Rule; 4],
}

/// A rule, and what its text is replaced by to do without it.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    text: &'static str,
    without: &'static str,
}

/// A snippet that can be run.
pub(crate) struct Reader {
    words: Vec<String>,
    _folder: TempDir,
}

impl Language {
    /// The snippet with these rules taken out; none if this machine cannot run it, which is told.
    pub(crate) fn reader(&self, without: &[Rule]) -> Option<Reader> {
        for [program, flag] in self.needs {
            let call = Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !call.is_ok_and(|status| status.success()) {
                // Past the test runner, which keeps what is printed to itself: the summary of the gate shows it.
                let _ = writeln!(io::stdout(), "\nnot run: docs/snippets/{}: no {program}", self.file);
                return None;
            }
        }
        let mut source = fs::read_to_string(folder().join(self.file)).unwrap();
        for rule in without {
            assert!(source.contains(rule.text), "{}: {:?} is not there", self.file, rule.text);
            source = source.replace(rule.text, rule.without);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(self.file), source).unwrap();
        Some(Reader { words: (self.build)(folder.path()), _folder: folder })
    }
}

impl Reader {
    /// The token that it leads with, if it does.
    pub(crate) fn ask(&self, how: &str, whom: &str) -> Option<u64> {
        let mut command = Command::new(&self.words[0]);
        // Such a proxy is not for questions within a Pod.
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:9");
        }
        let output = command.args(&self.words[1..]).args([how, whom]).output().unwrap();
        let [said, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        match output.status.code() {
            Some(0) => {
                Some(said.trim_end().parse().unwrap_or_else(|_| panic!("{:?} said {said:?}", self.words)))
            }
            Some(1) if errors == "this Pod does not lead\n" && said.is_empty() => None,
            code => panic!("{:?} {how} {whom}: exit code {code:?}, {said:?}, {errors}", self.words),
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.words.join(" "))
    }
}

/// Where the snippets are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/snippets")
}

fn run(program: &str, args: &[&str], folder: &Path) {
    let status = Command::new(program).args(args).current_dir(folder).env("CGO_ENABLED", "0").status();
    assert!(status.unwrap().success(), "{program} {args:?}");
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

const fn rule(name: &'static str, text: &'static str, without: &'static str) -> Rule {
    Rule { name, text, without }
}

pub(crate) const BOOT: &str = "the file is of this boot";
pub(crate) const BOOTTIME: &str = "CLOCK_BOOTTIME is before lead_until_boottime_ns";
pub(crate) const WALL_CLOCK: &str = "the wall clock is before lead_until";
pub(crate) const STATE: &str = "the state is leader";

pub(crate) const LANGUAGES: [&Language; 4] = [&SHELL, &PYTHON, &GO, &JAVA];

pub(crate) const SHELL: Language = Language {
    file: "leader.sh",
    fence: "sh",
    needs: &[["sh", "/dev/null"], ["curl", "--version"]],
    build: |folder| vec!["sh".to_owned(), path(folder, "leader.sh")],
    rules: [
        rule(BOOT, r#"[ "$(field boot_id)" = "$boot_id" ] || return 1"#, ":"),
        rule(BOOTTIME, r#"[ "$((now + 1))" -le "$((${limit:-0} / 10000000))" ] || return 1"#, ":"),
        rule(WALL_CLOCK, r#"is_before "$(field lead_until)" || return 1"#, ":"),
        rule(STATE, r#"[ "$(field state)" = leader ] || return 1"#, ":"),
    ],
};

pub(crate) const PYTHON: Language = Language {
    file: "leader.py",
    fence: "python",
    needs: &[["python3", "--version"]],
    build: |folder| vec!["python3".to_owned(), path(folder, "leader.py")],
    rules: [
        rule(BOOT, r#"said["boot_id"] == boot_id"#, "True"),
        rule(
            BOOTTIME,
            r#"time.clock_gettime_ns(time.CLOCK_BOOTTIME) < said["lead_until_boottime_ns"]"#,
            "True",
        ),
        rule(WALL_CLOCK, r#"time.time() < _seconds(said["lead_until"])"#, "True"),
        rule(STATE, r#"said["state"] == "leader""#, "True"),
    ],
};

pub(crate) const GO: Language = Language {
    file: "leader.go",
    fence: "go",
    needs: &[["go", "version"]],
    build: |folder| {
        run("go", &["build", "-trimpath", "-o", "leader", "leader.go"], folder);
        vec![path(folder, "leader")]
    },
    rules: [
        rule(BOOT, "said.BootID != strings.TrimSpace(string(bootID))", "len(bootID) == 0"),
        rule(BOOTTIME, "now.Nanoseconds() >= said.LeadUntilBoottimeNs", "now == 0"),
        rule(WALL_CLOCK, "time.Now().Before(said.LeadUntil)", "true"),
        rule(STATE, r#"said.State == "leader""#, "true"),
    ],
};

pub(crate) const JAVA: Language = Language {
    file: "Leader.java",
    fence: "java",
    needs: &[["javac", "-version"], ["java", "-version"]],
    build: |folder| {
        run("javac", &["-Xlint:all", "-Werror", "-d", ".", "Leader.java"], folder);
        ["java", "-XX:TieredStopAtLevel=1", "-cp", &path(folder, ""), "Leader"].map(str::to_owned).to_vec()
    },
    rules: [
        rule(BOOT, r#"field(said, "boot_id").equals(bootId)"#, "true"),
        rule(BOOTTIME, r#"boottimeNs() < Long.parseLong(field(said, "lead_until_boottime_ns"))"#, "true"),
        rule(WALL_CLOCK, r#"Instant.now().isBefore(Instant.parse(field(said, "lead_until")))"#, "true"),
        rule(STATE, r#"field(said, "state").equals("leader")"#, "true"),
    ],
};
