//! A restore in place that is cut at every command: done again, it repairs what it left.

use respaldo_testkit::not_mongod::{Fault, NotMongod, When};

use crate::support::{At, Restore, damage, shop};

#[tokio::test]
async fn a_load_that_is_cut_at_any_command_is_made_good_by_the_next() {
    let template = NotMongod::start();
    shop(&template, "shop");
    let healthy = template.snapshot("shop");
    let (bytes, _) = At::new(&template, "shop").dump().await.unwrap();
    for fault in [Fault::Die, Fault::DieAfter, Fault::CutReply] {
        let mut n = 1;
        loop {
            let mut server = NotMongod::start();
            shop(&server, "shop");
            damage(&server, "shop");
            let restore = Restore::new(At::new(&server, "shop"), bytes.clone());
            server.fail(When::nth_of_all(n), fault.clone());
            let cut = restore.load().await;
            if let Err(e) = &cut {
                assert!(e.is_retryable(), "{fault:?} {n}: {e}");
            }
            let met = server.count("createIndexes") < 2 || cut.is_err();
            server.heal();
            server.resume();
            restore.load().await.unwrap();
            assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new(), "{fault:?} {n}");
            if !met {
                break;
            }
            n += 1;
        }
        assert!(n > 8, "{fault:?}: {n} commands");
    }
}
