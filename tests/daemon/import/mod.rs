//! Runs `dialback import` on files in the formats of gateways, as an operator runs it.

mod creation;
mod details;
mod dry_run;
mod files;
mod interruptions;
mod page;
mod properties;
mod proxy;
mod rejections;
mod running;
mod values;

use dialback::plan::AgentView;
use dialback::store::FjallStore;
use dialback::{
    AgentId, Caller, Change, DialPlan, Direction, E164, EnvironmentId, Lookback, NumberId, Outcome, Service, Timestamp,
};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const TENANT: EnvironmentId = EnvironmentId::from_u128(1);
const OTHER_TENANT: EnvironmentId = EnvironmentId::from_u128(2);
const SALES: AgentId = AgentId::from_u128(0x0a0a_0a0a_0000_4000_8000_0000_0000_0001);
const NORTH: AgentId = AgentId::from_u128(0x0a0a_0a0a_0000_4000_8000_0000_0000_0002);
const NOW: Timestamp = Timestamp::from_secs(1_751_400_000);
const OURS: &str = "+15550100100";

#[test]
fn bad_lines_are_reported_and_good_lines_imported() {
    for name in ["bad-lines.csv", "bad-lines-crlf.csv"] {
        let site = Site::configured();
        let done = site.import(&sample(name), &["--environment", "tenant"]);
        assert_eq!(done.code, Some(3), "{}", done.stderr);
        assert_eq!(
            done.rejected,
            [
                (3, "the line has 2 columns, but 5 are expected"),
                (6, "`at`: \"yesterday\" is not a time"),
                (7, "`at`: the time is before 2020"),
                (8, "`at`: the time is more than a day in the future"),
                (9, "`at`: the time is missing"),
                (10, "`agent`: \"nobody\" is not an agent of this environment: create it, or use --create-missing"),
                (11, "`agent`: the agent is missing"),
                (12, "`agent`: \"twin\" is the name or label of several agents: use an id"),
                (13, "`agent`: \"desk\" is an inbound agent; outbound calls need an outbound agent"),
                (14, "`agent`: \"************\" is not an agent of this environment: create it, or use --create-missing"),
                (15, "`agent`: \"*b*b*b*b-****-****-****-************\" is the id of no agent of this environment: correct it, or create the agent with this id first"),
                (16, "`from` is not a number of this environment: add the number, or use --create-missing"),
                (17, "`from` is a number of another environment: release it there, or choose that environment with --environment"),
                (18, "`from`: not a phone number"),
                (19, "`to`: not a phone number"),
                (20, "`to`: the number has more than 15 digits"),
                (21, "`to`: the number is missing"),
                (22, "`status`: \"perhaps\" is not a known status: see `dialback import --help`"),
                (23, "`agent` is not UTF-8"),
                (
                    25,
                    if name.contains("crlf") {
                        "`agent`: \"no\\r\\nbody\" is not an agent of this environment: create it, or use --create-missing"
                    } else {
                        "`agent`: \"no\\nbody\" is not an agent of this environment: create it, or use --create-missing"
                    }
                ),
                (27, "a quote is not closed, so the record may have 3 lines"),
                (30, "the line has 6 columns, but 5 are expected"),
                (32, "`from`: the number is missing"),
            ]
            .map(|(line, why)| (line, why.to_owned())),
            "{name}"
        );
        assert_eq!((done.count("accepted"), done.count("rejected"), done.count("unchanged")), (5, 23, 0), "{name}");
        site.expect(&[
            ("+447700900001", Some((SALES, "2025-07-01T12:00:01Z", Outcome::Completed))),
            ("+447700900002", None),
            ("+447700900003", Some((SALES, "2025-07-01T12:00:03Z", Outcome::Completed))),
            ("+447700900016", None),
            ("+447700900020", Some((NORTH, "2025-07-01T12:00:20Z", Outcome::Completed))),
            // These lines may belong to the value before them, whose quote is not closed.
            ("+447700900023", None),
            ("+447700900024", None),
            ("+447700900026", Some((SALES, "2025-07-01T12:00:00Z", Outcome::NoAnswer))),
            ("+447700900028", Some((SALES, "2025-07-01T12:00:00Z", Outcome::Busy))),
        ]);
    }
}

#[test]
fn asterisk() {
    let site = Site::configured();
    let zone = ["--format", "asterisk", "--time-zone", "Europe/Berlin", "--environment", "tenant"];
    let done = site.import(&sample("Master-asterisk.csv"), &zone);
    assert_eq!(done.code, Some(3));
    assert_eq!(done.lines(), [5, 6, 7], "an inbound call, another's number, a line cut short");
    site.expect(&[
        ("+447700900101", Some((SALES, "2025-07-01T12:00:00Z", Outcome::Completed))),
        ("+447700900102", Some((SALES, "2025-07-01T12:05:00Z", Outcome::NoAnswer))),
        ("+447700900103", Some((SALES, "2025-07-01T12:06:00Z", Outcome::Busy))),
        ("+447700900104", Some((SALES, "2025-07-01T12:07:00Z", Outcome::Failed))),
    ]);
    let only = [&zone[..], &["--only", "dcontext=OUTBOUND", "--map", "agent==North"]].concat();
    let again = site.import(&sample("Master-asterisk.csv"), &only);
    assert_eq!((again.lines(), again.count("skipped")), (vec![6, 7], 1));
    site.expect(&[("+447700900101", Some((NORTH, "2025-07-01T12:00:00Z", Outcome::Completed)))]);
}

#[test]
fn freeswitch() {
    let site = Site::configured();
    let done = site.import(&sample("Master-freeswitch.csv"), &["--format", "freeswitch", "--environment", "tenant"]);
    assert_eq!(done.code, Some(3));
    assert_eq!(done.lines(), [6, 7], "an unknown cause, an inbound call");
    site.expect(&[
        ("+447700900201", Some((SALES, "2025-07-01T12:00:00Z", Outcome::Completed))),
        ("+447700900202", Some((SALES, "2025-07-01T12:05:00Z", Outcome::NoAnswer))),
        ("+447700900203", Some((SALES, "2025-07-01T12:06:00Z", Outcome::Busy))),
        ("+447700900204", Some((SALES, "2025-07-01T12:07:00Z", Outcome::NoAnswer))),
        ("+447700900205", Some((SALES, "2025-07-01T12:08:00Z", Outcome::Completed))),
    ]);
}

#[test]
fn kamailio() {
    let site = Site::configured();
    let tenant = ["--format", "kamailio", "--environment", "tenant"];
    let refused = site.import(&sample("acc-kamailio.csv"), &tenant);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--map agent==NAME"), "{}", refused.stderr);
    let done = site.import(&sample("acc-kamailio.csv"), &[&tenant[..], &["--map", "agent==sales"]].concat());
    assert_eq!(done.code, Some(3));
    assert_eq!((done.lines(), done.count("skipped")), (vec![7, 9], 2), "an inbound call, a time that is none");
    site.expect(&[
        ("+447700900301", Some((SALES, "2025-07-01T12:00:00Z", Outcome::Completed))),
        ("+447700900302", Some((SALES, "2025-07-01T12:05:00Z", Outcome::Busy))),
        ("+447700900303", Some((SALES, "2025-07-01T12:06:00Z", Outcome::NoAnswer))),
        ("+447700900304", Some((SALES, "2025-07-01T12:07:00Z", Outcome::Failed))),
    ]);
}

#[test]
fn create_missing_imports_a_dump_into_an_empty_directory() {
    let site = Site::empty();
    let options = ["--format", "asterisk", "--only", "dcontext=outbound"];
    let done = site.import(&sample("Master-asterisk.csv"), &options);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("--create-missing"), "{}", done.stderr);

    let create = [&options[..], &["--create-missing"]].concat();
    let done = site.import(&sample("Master-asterisk.csv"), &create);
    assert_eq!((done.code, done.lines()), (Some(3), vec![7]));
    assert_eq!((done.count("accepted"), done.count("created_numbers"), done.count("created_agents")), (5, 2, 2));
    let service = site.service();
    let plan = service.plan();
    let environments: Vec<_> = plan.environments().collect();
    let [environment] = environments.as_slice() else { panic!("one environment: {environments:?}") };
    let agents: Vec<_> = environment.agents().map(|agent| (agent.name(), agent.direction())).collect();
    assert_eq!(agents, [("sales", Some(Direction::Outbound)), ("support", Some(Direction::Outbound))]);
    assert!(environment.agents().all(AgentView::is_published));
    assert_eq!(environment.numbers().count(), 2);
    drop(environments);
    drop((plan, service));

    let again = site.import(&sample("Master-asterisk.csv"), &create);
    assert_eq!((again.count("accepted"), again.count("unchanged")), (5, 5), "importing twice changes nothing");
    assert_eq!((again.count("created_numbers"), again.count("created_agents")), (0, 0));
}

#[test]
fn rejected_line_creates_nothing() {
    let site = Site::empty();
    let file = site.file(concat!(
        "from,to,at,agent\n",
        "+15550100101,+447700900001,never,one\n",
        "201,+447700900001,2025-07-01T12:00:00Z,two\n",
        "+15550100103,+447700900001,2025-07-01T12:00:00Z,\n",
        "+15550100104,+447700900001,2025-07-01T12:00:00Z,four\n",
    ));
    let done = site.import(&file, &["--create-missing", "--environment", "acme"]);
    assert_eq!(done.lines(), [2, 3, 4]);
    assert_eq!((done.count("created_numbers"), done.count("created_agents")), (1, 1));
    let service = site.service();
    let names: Vec<_> = service.plan().environments().map(|one| one.name().to_owned()).collect();
    assert_eq!(names, ["acme"]);
}

#[test]
fn national_numbers_other_delimiters_and_columns_by_number() {
    let site = Site::configured();
    let file = site.file("\"x\";(555) 010-0100;011 44 7700 900401;2025-07-01 08:00:00;9\n");
    let map = "from=2,to=3,at=4,agent==sales,status=\"voicemail\"";
    let options = ["--no-header", "--delimiter", ";", "--map", map, "--time-zone", "-04:00", "--environment", "tenant"];
    let done = site.import(&file, &options);
    assert_eq!((done.code, done.count("accepted")), (Some(0), 1), "{}", done.stderr);
    site.expect(&[("+447700900401", Some((SALES, "2025-07-01T12:00:00Z", Outcome::Voicemail)))]);
}

#[test]
fn reject_file_can_be_repaired_and_imported() {
    let site = Site::configured();
    let kept = site.path("rejected.csv");
    let options = ["--environment", "tenant", "--reject-file", kept.to_str().expect("UTF-8")];
    site.import(&sample("bad-lines.csv"), &options);
    let text = String::from_utf8_lossy(&fs::read(&kept).expect("kept")).into_owned();
    assert!(text.starts_with("from,to,at,agent,status\n+15550100100,+447700900002\n"), "{text}");
    let mode = fs::metadata(&kept).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds whole phone numbers");
    let repaired = site.file(text.replace("yesterday", "2025-06-30T12:00:00Z"));
    let done = site.import(&repaired, &["--environment", "tenant"]);
    assert_eq!((done.count("accepted"), done.count("rejected")), (1, 22));
    let onto_itself = ["--environment", "tenant", "--reject-file", repaired.to_str().expect("UTF-8")];
    assert_eq!(site.import(&repaired, &onto_itself).code, Some(1));
    assert_ne!(fs::metadata(&repaired).expect("still there").len(), 0);
    site.expect(&[("+447700900004", Some((SALES, "2025-06-30T12:00:00Z", Outcome::Completed)))]);
}

#[test]
fn standard_input_and_a_summary_for_people() {
    let site = Site::configured();
    let mut child = site.command(Path::new("-"), &["--environment", "tenant"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&fs::read(sample("bad-lines.csv")).expect("a sample")).expect("read");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(3));
    let (out, err) = texts(&output);
    assert!(out.contains("accepted              5"), "{out}");
    assert!(err.contains("line 3: the line has 2 columns, but 5 are expected\n"), "{err}");
    assert_no_number(&out);
    assert_no_number(&err);
}

#[test]
fn impossible_import_reports_the_reason() {
    let site = Site::configured();
    let tenant = ["--environment", "tenant"];
    for (text, options, why) in [
        ("", &tenant[..], "the file is empty"),
        ("\"from,to\n", &tenant, "the first line is broken"),
        ("src,dst\n", &tenant, "no column holds `from`: add --map from=COLUMN; the columns are src, dst"),
        ("+15550100100,+447700900001\n", &tenant, "does not look like a header"),
        ("from,to,at\n", &["--environment", "tenant", "--map", "agent=bot"], "there is no column `bot`"),
        ("from,to,at,agent\n", &["--environment", "tenant", "--only", "9=x"], "there is no column 9"),
        ("from,to,at,agent\n", &[], "there are several environments: add --environment with one of tenant, other"),
        ("from,to,at,agent\n", &["--environment", "nobody"], "`nobody`"),
        ("\u{FEFF}", &tenant, "the file is empty"),
    ] {
        let done = site.import(&site.file(text), options);
        assert_eq!(done.code, Some(1), "{text:?}: {}", done.stderr);
        assert!(done.stderr.contains(why), "{text:?}: {}", done.stderr);
    }
    assert_eq!(site.import(&site.path("no-such-file.csv"), &tenant).code, Some(1));
    assert_eq!(site.import(&site.path(""), &tenant).code, Some(1), "a directory");
    let usage = [["--map", "from"], ["--map", "from=0"], ["--time-zone", "Mars/Base"], ["--delimiter", "::"]];
    for options in usage {
        assert_eq!(site.import(&sample("bad-lines.csv"), &options).code, Some(2), "{options:?}");
    }
}

#[test]
fn no_header_is_needed_to_import_an_empty_file_of_a_gateway() {
    let site = Site::configured();
    let done = site.import(&site.file(""), &["--format", "asterisk", "--environment", "tenant"]);
    assert_eq!((done.code, done.count("accepted")), (Some(0), 0));
}

#[test]
fn more_calls_than_pending_batches_hold_are_imported() {
    let site = Site::empty();
    let mut text = String::from("from,to,at,agent\n");
    for call in 0..40_000 {
        let from = 15_550_100_000_u64 + call / 400;
        let (contact, at, agent) = (call % 39_000, 1_751_371_200 + call, call / 4_000);
        writeln!(text, "+{from},+4477{contact:08},{at},agent-{agent}").expect("a string takes all");
    }
    text.push_str("+1,+1,+1,+1\n");
    let done = site.import(&site.file(&text), &["--create-missing"]);
    assert_eq!((done.count("accepted"), done.lines()), (40_000, vec![40_002]));
    assert_eq!((done.count("created_numbers"), done.count("created_agents")), (100, 10));
    assert_eq!(site.service().history().len(), 40_000);
}

/// A new data directory.
struct Site(tempfile::TempDir);

/// Agent, time and outcome of the last call to a contact, if there is one.
type Known = Option<(AgentId, &'static str, Outcome)>;

/// The output of an import.
struct Done {
    code: Option<i32>,
    stderr: String,
    rejected: Vec<(u64, String)>,
    summary: Value,
}

impl Site {
    fn empty() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// Creates an environment with two outbound agents and one number, which reads international numbers only.
    fn with_outbound_agents() -> Self {
        Self::with_dial_plan(DialPlan::NONE)
    }

    fn with_country(code: &str, national: &str, international: &str) -> Self {
        Self::with_dial_plan(DialPlan::new(code, national, international).expect("a plan"))
    }

    fn with_dial_plan(dial_plan: DialPlan) -> Self {
        let site = Self::empty();
        let agent = |id, name: &str| Change::AgentCreated {
            id,
            name: name.into(),
            label: None,
            direction: Direction::Outbound,
        };
        let changes = vec![
            Change::EnvironmentSet { name: "tenant".into(), dial_plan, lookback: Lookback::default() },
            agent(SALES, "sales"),
            agent(NORTH, "North"),
            Change::NumberAdded { id: NumberId::from_u128(1), number: number(OURS) },
        ];
        site.service().configure(TENANT, NOW, move |_| Ok(changes)).expect("valid");
        site
    }

    /// Creates two environments with numbers and agents.
    fn configured() -> Self {
        let site = Self::empty();
        let service = site.service();
        let agent = |id, name: &str, label: Option<&str>, direction| Change::AgentCreated {
            id,
            name: name.into(),
            label: label.map(Into::into),
            direction,
        };
        let environment = |name: &str| Change::EnvironmentSet {
            name: name.into(),
            dial_plan: DialPlan::new("1", "1", "011").expect("a plan"),
            lookback: Lookback::default(),
        };
        let number = |id, text| Change::NumberAdded { id: NumberId::from_u128(id), number: number(text) };
        let tenant = vec![
            environment("tenant"),
            agent(SALES, "sales", None, Direction::Outbound),
            agent(NORTH, "North", Some("Sales, North"), Direction::Outbound),
            agent(AgentId::from_u128(3), "twin", None, Direction::Outbound),
            agent(AgentId::from_u128(4), "other", Some("twin"), Direction::Outbound),
            agent(AgentId::from_u128(5), "desk", None, Direction::Inbound),
            // An inbound agent with the same name does not make an outbound agent's name ambiguous.
            agent(AgentId::from_u128(6), "sales", None, Direction::Inbound),
            number(1, OURS),
        ];
        let other = vec![environment("other"), number(1, "+15550100177"), number(2, "+15550100101")];
        service.configure(TENANT, NOW, move |_| Ok(tenant)).expect("valid");
        service.configure(OTHER_TENANT, NOW, move |_| Ok(other)).expect("valid");
        drop(service);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("calls.csv");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn service(&self) -> Service {
        let store = FjallStore::open(self.path("data")).expect("a store");
        Service::builder(store).start().expect("a service")
    }

    fn command(&self, file: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        command.arg("import").arg(file).arg("--data").arg(self.path("data")).args(options);
        command
    }

    fn import(&self, file: &Path, options: &[&str]) -> Done {
        let output = self.command(file, options).arg("--json").output().expect("runs");
        let (stdout, stderr) = texts(&output);
        assert_no_number(&stdout);
        assert_no_number(&stderr);
        let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let rejected = lines.filter_map(|line| Some((line["line"].as_u64()?, line["message"].as_str()?.to_owned())));
        let rejected = rejected.collect();
        let summary = serde_json::from_str(&stdout).unwrap_or_default();
        Done { code: output.status.code(), rejected, summary, stderr }
    }

    fn import_text(&self, text: &str, options: &[&str]) -> Done {
        self.import(&self.file(text), options)
    }

    /// Checks that the program refuses these options.
    fn usage_error(&self, options: &[&str]) {
        let output = self.command(&self.file(""), options).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{options:?}");
    }

    /// Returns the number of contacts that are held.
    fn contacts(&self) -> usize {
        self.service().history().len()
    }

    /// Checks the last calls to contacts after a restart.
    fn expect(&self, contacts: &[(&str, Known)]) {
        let service = self.service();
        for (contact, expected) in contacts {
            let caller = Caller::Number(number(contact));
            let known = service.resolve(number(OURS), caller, NOW).call;
            let known = known.map(|call| (call.agent, call.at, call.outcome));
            let expected = expected.map(|(agent, at, outcome)| (agent, moment(at), outcome));
            assert_eq!(known, expected, "{contact}");
        }
    }
}

impl Done {
    fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}: {}", self.summary, self.stderr))
    }

    fn lines(&self) -> Vec<u64> {
        self.rejected.iter().map(|(line, _)| *line).collect()
    }

    fn expect_rejected(&self, lines: &[(u64, &str)]) {
        let expected: Vec<_> = lines.iter().map(|(line, why)| (*line, (*why).to_owned())).collect();
        assert_eq!(self.rejected, expected, "{}", self.stderr);
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)
}

fn number(text: &str) -> E164 {
    E164::parse_international(text).expect("a number")
}

fn moment(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect("a time");
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

/// Checks that no phone number of the samples is printed, not even most of one.
fn assert_no_number(text: &str) {
    for part in ["5550100", "7700900", "+155501", "+447700", "212555"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}
