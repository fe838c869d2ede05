//! Several processes on one catalog, and a process that is killed at any moment.
//!
//! The children are this test binary again, told by a variable which part to play.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test's helper fails its test")]
#![expect(
    clippy::disallowed_methods,
    reason = "a crash test needs a process to kill, and a variable to tell it what to do"
)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::ports::{Catalog, Cursor, JobFilter, NewDatabase};
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::catalog::sample::{artifact, at, database, job, job_id, line};

const CATALOG: &str = "RESPALDO_TEST_CATALOG";
const PART: &str = "RESPALDO_TEST_PART";
const KILLS: u128 = 30;
const PRIZES: u128 = 200;

fn child(part: &str, catalog: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_plays_its_part", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(CATALOG, catalog)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    // The test harness may have left an unfinished line.
    writeln!(out, "\n{word}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "started by the other tests as a process of its own"]
async fn a_child_plays_its_part() {
    let path = std::env::var_os(CATALOG).expect("only the other tests start this one");
    let catalog = SqliteCatalog::open(Path::new(&path)).unwrap();
    match std::env::var(PART).unwrap().as_str() {
        "compete" => compete(&catalog).await,
        round => write_for_ever(&catalog, round.parse().unwrap()).await,
    }
}

/// Confirms each job's stages, one line each, until it is killed.
async fn write_for_ever(catalog: &SqliteCatalog, round: u128) {
    for n in round * 100_000.. {
        let mut mine = job(n, i64::try_from(n).unwrap());
        assert!(catalog.create_job(&mine).await.unwrap());
        say(&format!("confirmed 0 {n}"));
        let fence = mine.lease("child", at(0), SignedDuration::from_secs(1)).unwrap();
        mine = catalog.update_job(&mine).await.unwrap();
        say(&format!("confirmed 1 {n}"));
        catalog.append_log(mine.id, &[line("one"), line("two")]).await.unwrap();
        say(&format!("confirmed 2 {n}"));
        mine.succeed(fence, artifact(1, 1_000), None, at(1)).unwrap();
        catalog.update_job(&mine).await.unwrap();
        say(&format!("confirmed 3 {n}"));
        catalog.create_database(NewDatabase(database(n))).await.unwrap();
        say(&format!("confirmed 4 {n}"));
    }
}

/// For each prize waits for the start, and tells what it won and that it is through.
async fn compete(catalog: &SqliteCatalog) {
    say("ready");
    for n in 0..PRIZES {
        std::io::stdin().read_exact(&mut [0]).unwrap();
        if catalog.create_job(&job(n, 0)).await.unwrap() {
            say(&format!("won job {n}"));
        }
        if catalog.acquire_lease(&n.to_string(), "child", at(0), at(1)).await.unwrap().is_some() {
            say(&format!("won lease {n}"));
        }
        if catalog.claim(&n.to_string(), "child", at(0), None).await.unwrap().is_none() {
            say(&format!("won claim {n}"));
        }
        say("ready");
    }
}

/// A number below `bound`, different in each run.
fn random(bound: u64) -> u64 {
    RandomState::new().hash_one(bound) % bound
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    // The last stage of each job that its writer saw confirmed.
    let mut confirmed: BTreeMap<u128, u32> = BTreeMap::new();
    for round in 0..KILLS {
        for (n, stage) in killed_writer(round, &path) {
            confirmed.insert(n, stage);
        }
        let catalog = SqliteCatalog::open(&path).unwrap();
        assert_kept(&catalog, &confirmed, round).await;
        drop(catalog);
        let file = rusqlite::Connection::open(&path).unwrap();
        let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok", "round {round}");
    }
    println!("{KILLS} kills, {} jobs with a confirmed stage", confirmed.len());
    assert!(confirmed.len() > 30, "the writers hardly wrote: {}", confirmed.len());
}

/// Lets a writer confirm a random number of stages, kills it a random moment later, and tells which
/// it had confirmed. Every fifth is killed while it starts.
fn killed_writer(round: u128, path: &Path) -> Vec<(u128, u32)> {
    let mut writer = child(&round.to_string(), path);
    let mut out = BufReader::new(writer.stdout.take().unwrap());
    let mut seen = String::new();
    if round % 5 == 4 {
        std::thread::sleep(Duration::from_micros(random(20_000)));
    } else {
        let enough = 1 + random(60);
        while (seen.matches("confirmed").count() as u64) < enough {
            assert!(out.read_line(&mut seen).unwrap() > 0, "the writer ended by itself: {seen}");
        }
        std::thread::sleep(Duration::from_micros(random(3_000)));
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    out.read_to_string(&mut seen).unwrap();
    // The kill may have cut the last line short.
    let whole = &seen[..seen.rfind('\n').map_or(0, |end| end + 1)];
    let stages = whole.lines().filter_map(|line| line.strip_prefix("confirmed ")).map(|stage| {
        let (stage, n) = stage.split_once(' ').unwrap();
        (n.parse().unwrap(), stage.parse().unwrap())
    });
    stages.collect()
}

async fn assert_kept(catalog: &SqliteCatalog, confirmed: &BTreeMap<u128, u32>, round: u128) {
    let databases = catalog.databases(None, usize::MAX).await.unwrap();
    for (&n, &stage) in confirmed {
        let context = format!("round {round}: job {n} was confirmed to stage {stage}");
        let kept = catalog.job(job_id(n)).await.unwrap().expect(&context);
        let updates = [0, 1, 1, 2, 2][stage as usize];
        assert!((updates..=2).contains(&kept.revision), "{context}: revision {}", kept.revision);
        let lines = catalog.log(job_id(n), 0, 10).await.unwrap().len();
        assert!(lines == 2 || (lines == 0 && stage < 2), "{context}: {lines} lines");
        let registered = databases.iter().any(|one| one.uid == database(n).uid);
        assert!(registered || stage < 4, "{context}: no database");
    }
    let totals = catalog.totals(None).await.unwrap();
    let mut counted = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = catalog.jobs(&JobFilter::default(), cursor, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor::after(last));
        for job in &page {
            *counted.entry(job.status.as_str().to_owned()).or_insert(0_u64) += 1;
        }
    }
    assert_eq!(totals.by_status, counted, "round {round}");
}

#[test]
fn two_processes_that_compete_for_each_prize_win_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    // Both open the file at once, which is not there yet.
    let mut children = [child("compete", &path), child("compete", &path)];
    let mut outs = children.each_mut().map(|child| BufReader::new(child.stdout.take().unwrap()));
    let mut won = [Vec::new(), Vec::new()];
    for n in 0..=PRIZES {
        for (out, won) in outs.iter_mut().zip(&mut won) {
            read_until_ready(out, won);
        }
        let mut starters = children.each_mut();
        if n % 2 == 0 {
            starters.reverse();
        }
        for child in starters {
            // After the last prize nobody reads this any more.
            let _gone = child.stdin.as_mut().unwrap().write_all(b"!");
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    println!("{} and {} prizes", won[0].len(), won[1].len());
    assert!(won.iter().all(|won| !won.is_empty()), "only one of them ever competed");
    let mut all = won.concat();
    all.sort_unstable();
    let kinds = ["job", "lease", "claim"].iter();
    let mut expected: Vec<_> =
        kinds.flat_map(|kind| (0..PRIZES).map(move |n| format!("{kind} {n}"))).collect();
    expected.sort_unstable();
    assert!(all == expected, "each is won exactly once: {} of {}", all.len(), expected.len());
}

fn read_until_ready(out: &mut impl BufRead, won: &mut Vec<String>) {
    for line in out.lines().map(Result::unwrap) {
        if line == "ready" {
            return;
        }
        won.extend(line.strip_prefix("won ").map(str::to_owned));
    }
    panic!("a child ended before it was through");
}
