//! Statements and what they give.

use retrial_simulators::maxcompute::warehouse::{Answer, Circumstances, Warehouse};

fn script() -> Circumstances {
    let settings = [("odps.sql.submit.mode", "script"), ("odps.sql.allow.fullscan", "true")];
    Circumstances {
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Circumstances::default()
    }
}

fn run(warehouse: &mut Warehouse, text: &str) -> String {
    match warehouse.run(text, &script()) {
        Ok(Answer::Rows(table)) => table.csv(100).replace('"', ""),
        Ok(Answer::Text(text)) => text,
        Err(failure) => failure.0,
    }
}

#[test]
fn expressions_have_the_values_of_the_service() {
    let mut warehouse = Warehouse::new("p").unwrap();
    for (expression, value) in [
        ("1/2", "0.5"),
        ("7 / 2 * 2", "7.0"),
        ("cast(0.1 as string)", "0.1"),
        ("cast('x' as double)", "\\N"),
        ("cast('12.7' as bigint)", "12"),
        ("cast(1 as double)", "1.0"),
        ("cast(cast(2 as decimal(10,2)) as string)", "2.0"),
        ("if(1 > 2, 'a', \"b\")", "b"),
        ("nvl(null, 3)", "3"),
        ("concat('a', 1, null)", "\\N"),
        ("concat('a', 1, 2.5)", "a12.5"),
        ("get_json_object('{\"a\": {\"b\": [1, \"x\"]}}', '$.a.b[1]')", "x"),
        ("get_json_object('{\"a\": 0.75}', '$.a')", "0.75"),
        ("get_json_object('no json', '$.a')", "\\N"),
        ("round(2.567, 2)", "2.57"),
        ("sqrt(16) + exp(0) + ln(1) + pow(2, 3) + log(2, 8)", "16.0"),
        ("floor(-1.5) + ceil(1.2)", "0"),
        ("greatest(1, 3, 2) + least(4, 2)", "5"),
        ("regexp_extract('auc=0.91', 'auc=([0-9.]+)')", "0.91"),
        ("regexp_replace('a1b22', '[0-9]+', '#')", "a#b#"),
        ("'abc' rlike '^a'", "1"),
        ("'ABC' like 'a%'", "0"),
        ("split_part('a-b-c', '-', 2)", "b"),
        ("case when 1 = 1 then 'y' else 'n' end", "y"),
        ("substr('hello', 2, 3)", "ell"),
        ("length(toupper('abc'))", "3"),
        ("3L + 1.5D", "4.5"),
        ("1e400", "Infinity"),
    ] {
        assert_eq!(
            run(&mut warehouse, &format!("select {expression} as v")),
            format!("v\n{value}\n"),
            "{expression}"
        );
    }
}

#[test]
fn groups_joins_and_windows_are_computed() {
    let mut warehouse = Warehouse::new("p").unwrap();
    run(
        &mut warehouse,
        "create table t (k string, v double); insert into t values ('a', 1), ('a', 3), ('b', 5)",
    );
    let query = "select k, count(*) as n, avg(v) as mean, stddev(v) as s, median(v) as m, wm_concat(',', v) as all_v, \
                 percentile(v, 0.5) as half from p.t group by k order by k";
    let rows = "k,n,mean,s,m,all_v,half\na,2,2.0,1.0,2.0,1.0,3.0,2.0\nb,1,5.0,0.0,5.0,5.0,5.0\n";
    assert_eq!(run(&mut warehouse, query), rows);
    let query = "select a.k, row_number() over (partition by a.k order by a.v desc) as r from t a join t b on a.v = b.v where b.v > 1 order by a.k";
    assert_eq!(run(&mut warehouse, query), "k,r\na,1\nb,1\n");
    let pivot = "select max(if(k = 'a', v, null)) as a, max(if(k = 'b', v, null)) as b from t";
    assert_eq!(run(&mut warehouse, pivot), "a,b\n3.0,5.0\n");
}

#[test]
fn overwriting_replaces_the_table_or_the_partition_only() {
    let mut warehouse = Warehouse::new("p").unwrap();
    run(
        &mut warehouse,
        "create table if not exists m (auc double, recall double) partitioned by (pt string) lifecycle 3",
    );
    run(
        &mut warehouse,
        "insert overwrite table m partition (pt='t1') select 0.8, 0.5; insert into m partition (pt='t2') select 0.7, 0.4",
    );
    run(&mut warehouse, "insert overwrite table m partition (pt='t1') select 0.9, 0.6");
    assert_eq!(run(&mut warehouse, "select * from m where pt='t1'"), "auc,recall,pt\n0.9,0.6,t1\n");
    assert_eq!(run(&mut warehouse, "show partitions m"), "pt=t1\npt=t2\n");
    assert_eq!(run(&mut warehouse, "select count(*) as n from m"), "n\n2\n");
    run(
        &mut warehouse,
        "insert overwrite table m partition (pt) select 0.1, 0.2, 't3' union all select auc, recall, pt from m where pt = 't2'",
    );
    assert_eq!(run(&mut warehouse, "select pt, auc from m order by pt"), "pt,auc\nt1,0.9\nt2,0.7\nt3,0.1\n");
    run(
        &mut warehouse,
        "alter table m drop partition (pt='t1'); alter table m add if not exists partition (pt='t4')",
    );
    assert_eq!(run(&mut warehouse, "show partitions m"), "pt=t2\npt=t3\npt=t4\n");
    run(
        &mut warehouse,
        "create table plain as select auc from m where pt = 't2'; insert overwrite table plain select auc + 1 from plain",
    );
    assert_eq!(run(&mut warehouse, "select * from plain"), "auc\n1.7\n");
    run(
        &mut warehouse,
        "alter table plain rename to other; truncate table other; insert into other (auc) values (1)",
    );
    assert_eq!(run(&mut warehouse, "select auc from other"), "auc\n1.0\n");
    run(&mut warehouse, "drop table if exists other; drop table if exists other");
    assert!(run(&mut warehouse, "drop table other").starts_with("ODPS-0130131"));
}

#[test]
fn what_is_wrong_is_told_with_a_code_and_a_place() {
    let mut warehouse = Warehouse::new("p").unwrap();
    run(&mut warehouse, "create table t (a bigint, index bigint) partitioned by (pt string)");
    for (text, says) in [
        (
            "select a from\n  missing",
            "ODPS-0130131:[2,3] Table not found - table p.missing cannot be resolved",
        ),
        ("select b from t", "ODPS-0130071:[1,8] Semantic analysis exception - column b cannot be resolved"),
        ("select a b c from t", "ODPS-0130161:[1,12] Parse exception - invalid token 'c'"),
        ("select (1", "ODPS-0130161:[1,9] Parse exception - a parenthesis is not closed"),
        ("insert into t select 1", "the table is partitioned, and no partition is named"),
        (
            "insert into t partition (pt='1') select 1",
            "wrong columns count 1 in data source, requires 2 columns",
        ),
        (
            "create table t (a bigint)",
            "ODPS-0110061: Failed to run ddltask - Table or view already exists - t",
        ),
        ("with x as (select 1) delete from t", "this is not a query"),
        ("drop offlinemodel none", "offline model none does not exist"),
        ("pragma table_info(t)", "ODPS-0130161:[1,1]"),
        ("", "there is no statement"),
    ] {
        let said = run(&mut warehouse, text);
        assert!(said.contains(says), "{text}: {said}");
    }
    let plain = Circumstances::default();
    let said = |warehouse: &mut Warehouse, text: &str| warehouse.run(text, &plain).unwrap_err().0;
    assert!(said(&mut warehouse, "select 1; select 2").contains("submit.mode=script"));
    assert!(said(&mut warehouse, "select a from t").contains("full scan with all partitions"));
    assert!(warehouse.run("set x=1; select index from t where pt='1'", &plain).is_ok());
    // Nothing of it stayed.
    assert_eq!(warehouse.tables.keys().collect::<Vec<_>>(), ["dual", "t"]);
}
