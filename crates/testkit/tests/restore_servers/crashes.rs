//! A worker that dies behind a call to storage or catalog: the next one finishes the restore, and nothing is
//! left over.

use respaldo_core::model::{Database, Job, RestoreMode, Status};
use respaldo_core::restore::Request;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::Call;
use respaldo_testkit::mysql::{self, Mysql};
use respaldo_testkit::postgres::Postgres;

use crate::support::{
    Death, assert_same, beside, beside_in, dies_behind, fields_of_mariadb, fields_of_postgres, in_mode,
    register, request, restoration,
};

/// One in so many calls before the safety backup is stored: what is done there is a backup's, whose tests fail
/// every call.
const FEW: usize = 16;

/// A server with one small database that was damaged after its backup, and can be damaged in the same way again.
trait Site {
    /// Puts the database into its damaged state, with nothing beside it.
    fn damage_again(&self);
    /// What the database holds.
    fn content(&self) -> String;
    /// What restores left beside it.
    fn beside(&self) -> Vec<String>;
}

struct Pg {
    server: &'static Postgres,
    name: String,
    template: String,
}

impl Site for Pg {
    fn damage_again(&self) {
        let (name, template) = (&self.name, &self.template);
        let mut sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE);");
        for other in self.beside() {
            sql += &format!("DROP DATABASE {other} WITH (FORCE);");
        }
        self.server.psql("postgres", &format!("{sql} CREATE DATABASE {name} TEMPLATE {template};"));
    }

    fn content(&self) -> String {
        self.server.dump_normalised(&self.name)
    }

    fn beside(&self) -> Vec<String> {
        beside(self.server, &self.name)
    }
}

struct Maria {
    server: &'static Mysql,
    name: String,
    dump: Vec<u8>,
}

impl Site for Maria {
    fn damage_again(&self) {
        let name = mysql::quoted(&self.name);
        self.server.sql("mysql", &format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}"));
        self.server.load(&self.name, self.dump.as_slice());
    }

    fn content(&self) -> String {
        self.server.dump_normalised(&self.name)
    }

    fn beside(&self) -> Vec<String> {
        beside_in(self.server, &self.name)
    }
}

/// Where every run begins.
struct Start<S> {
    site: S,
    test: TestApp,
    healthy: String,
    damaged: String,
    wanted: Request,
}

impl<S: Site> Start<S> {
    fn new(site: S, test: TestApp, backup: &Job, healthy: String, mode: RestoreMode) -> Self {
        assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
        site.damage_again();
        let damaged = site.content();
        assert_ne!(healthy, damaged);
        Self { site, test, healthy, damaged, wanted: in_mode(backup.id, mode) }
    }

    async fn again(&self) -> (TestApp, Job) {
        self.site.damage_again();
        let test = self.test.copy();
        let job = request(&test, &self.wanted).await;
        test.faults.reset();
        (test, job)
    }

    /// The calls that a restore makes, and the first one behind its safety backup.
    async fn calls(&self) -> (usize, usize) {
        let (test, job) = self.again().await;
        Box::pin(test.run(job.id)).await.unwrap();
        let log = test.faults.log();
        let ended = test.job(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
        let safety = restoration(&ended).safety_backup.unwrap().to_string();
        let stored = |(call, path): &(Call, String)| *call == Call::Close && path.contains(&safety);
        let saved = log.iter().rposition(stored).expect("the safety backup is stored");
        (log.len(), saved + 1)
    }

    /// The worker dies behind its `n`th call, and another one goes on. Answers whether it came so far: heartbeats
    /// are calls too, and a quicker run has fewer.
    async fn dies(&self, n: usize, how: Death) -> bool {
        let (test, job) = self.again().await;
        let came = dies_behind(&test, job.id, n, how).await;
        let what = format!("{how:?} behind call {n}, at {:?}", restoration(&test.job(job.id).await).step);
        if self.wanted.mode == Some(RestoreMode::Swap) {
            let content = self.site.content();
            assert!(content == self.healthy || content == self.damaged, "{what}: half restored");
        }
        test.clock.advance(LEASE + LEASE);
        tick(&test.app).await.unwrap();
        let ended = test.run_to_end(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "{what}: {:?}", ended.error);
        assert_same(&self.healthy, &self.site.content(), &what);
        let kept: Vec<String> = restoration(&ended).kept.clone().into_iter().collect();
        assert_eq!(kept.len(), usize::from(self.wanted.mode == Some(RestoreMode::Swap)), "{what}");
        assert_eq!(self.site.beside(), kept, "{what}");
        let safety = restoration(&ended).safety_backup.unwrap();
        assert_eq!(test.job(safety).await.status, Status::Succeeded, "{what}");
        test.clock.advance(LEASE + LEASE);
        tick(&test.app).await.unwrap();
        test.assert_promises().await;
        came
    }

    /// Each `stride`th call behind the safety backup, and a few before it.
    async fn dies_everywhere(&self, how: Death, stride: usize) {
        let (calls, saved) = self.calls().await;
        assert!(calls > saved + 5, "{calls} calls, the safety backup is stored by {saved}");
        let before = (1..saved).step_by(FEW);
        // Between them, the two deaths meet every call behind it.
        let offset = usize::from(how == Death::Killed && stride > 1);
        for n in before.chain((saved + offset..=calls).step_by(stride)) {
            let came = Box::pin(self.dies(n, how)).await;
            assert!(came || n > saved + 5, "there is no call {n}");
        }
    }
}

const SCHEMA: &str = "CREATE TABLE orders (id int PRIMARY KEY, what varchar(40) NOT NULL);
    INSERT INTO orders VALUES (1, 'one'), (2, 'two'), (3, 'three');
    CREATE VIEW names AS SELECT what FROM orders;";
const DAMAGE: &str = "DROP VIEW names; DELETE FROM orders WHERE id < 3; CREATE TABLE written_since (a int);";

async fn postgres() -> Start<Pg> {
    let (server, test) = (Postgres::shared(), TestApp::new());
    let (name, template) = (server.fresh_database("tienda"), server.fresh_database("damaged"));
    server.psql(&name, SCHEMA);
    server.psql(&template, &format!("{SCHEMA} {DAMAGE}"));
    let fields = fields_of_postgres(server, &name, "plain");
    let database: Database = register(&test, fields, server.user(), server.password()).await;
    let backup = test.back_up(&database).await;
    let healthy = server.dump_normalised(&name);
    Start::new(Pg { server, name, template }, test, &backup, healthy, RestoreMode::Swap)
}

async fn mariadb() -> Start<Maria> {
    let (server, test) = (Mysql::shared(), TestApp::new());
    let name = server.fresh_database("tienda");
    server.sql(&name, SCHEMA);
    let database = register(&test, fields_of_mariadb(server, &name), server.user(), server.password()).await;
    let backup = test.back_up(&database).await;
    let healthy = server.dump_normalised(&name);
    server.sql(&name, DAMAGE);
    let dump = server.dump(&name, &[]);
    Start::new(Maria { server, name, dump }, test, &backup, healthy, RestoreMode::InPlace)
}

#[tokio::test]
async fn a_swap_whose_worker_is_cut_off_behind_any_call_is_finished_by_the_next() {
    postgres().await.dies_everywhere(Death::CutOff, 2).await;
}

#[tokio::test]
async fn a_swap_whose_worker_is_killed_behind_any_call_is_finished_by_the_next() {
    postgres().await.dies_everywhere(Death::Killed, 2).await;
}

#[tokio::test]
async fn a_load_in_place_whose_worker_is_cut_off_behind_any_call_is_finished_by_the_next() {
    mariadb().await.dies_everywhere(Death::CutOff, 1).await;
}

#[tokio::test]
async fn a_load_in_place_whose_worker_is_killed_behind_any_call_is_finished_by_the_next() {
    mariadb().await.dies_everywhere(Death::Killed, 1).await;
}
