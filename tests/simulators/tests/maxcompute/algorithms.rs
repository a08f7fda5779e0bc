//! PAI's algorithms: tuning on them really makes a model better.

use crate::caller::{sql, started, xflow};
use retrial_simulators::maxcompute::pai::{self, Parameters};
use retrial_simulators::maxcompute::table::{Cell, Table, column};
use retrial_simulators::maxcompute::warehouse::{Answer, Circumstances, Warehouse};
use serde_json::json;
use std::sync::Mutex;

/// Numbers between 0 and 1 that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal.
    fn around(&mut self, mean: f64, spread: f64) -> f64 {
        mean + spread * ((0..12).map(|_| self.next()).sum::<f64>() - 6.0)
    }
}

fn run(warehouse: &Mutex<Warehouse>, name: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let pairs = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    pai::run(name, &Parameters::new(pairs), warehouse, 0, || true).map_err(|failure| failure.0)
}

/// The only value of a query, as a number.
fn number(warehouse: &Mutex<Warehouse>, query: &str) -> f64 {
    let answer = warehouse.lock().unwrap().run(query, &Circumstances::default()).unwrap();
    let Answer::Rows(table) = answer else { panic!("{query} has no rows") };
    assert_eq!((table.rows.len(), table.columns.len()), (1, 1), "{query}");
    table.rows[0][0].number().unwrap()
}

fn filled(name: &str, columns: &[&str], rows: Vec<Vec<f64>>) -> Mutex<Warehouse> {
    let mut warehouse = Warehouse::new("p").unwrap();
    let table = Table {
        columns: columns.iter().map(|name| column(name, "double")).collect(),
        rows: rows.into_iter().map(|row| row.into_iter().map(Cell::Double).collect()).collect(),
    };
    warehouse.write(name, &table, None, 0).unwrap();
    Mutex::new(warehouse)
}

#[test]
fn the_index_is_highest_at_the_number_of_clusters_that_there_are() {
    let mut numbers = Numbers(3);
    let centers = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0)];
    let rows = (0..200).map(|at| {
        let (x, y) = centers[at % 4];
        vec![numbers.around(x, 1.0), numbers.around(y, 1.0)]
    });
    let warehouse = filled("points", &["f0", "f1"], rows.collect());
    let index = |count: usize, distance: &str| {
        let count = count.to_string();
        let parameters = [
            ("inputTableName", "p.points"),
            ("selectedColNames", "f0,f1"),
            ("centerCount", count.as_str()),
            ("distanceType", distance),
            ("initCenterMethod", "kmpp"),
            ("seed", "1"),
            ("modelName", "p/offlinemodels/m"),
            ("idxTableName", "p.idx"),
        ];
        run(&warehouse, "kmeans", &parameters).unwrap();
        let parameters = [("inputTableName", "points"), ("modelName", "m"), ("outputTableName", "evaluated")];
        run(&warehouse, "cluster_evaluation", &parameters).unwrap();
        number(
            &warehouse,
            "select cast(get_json_object(summary, '$.calinhara') as double) as vrc from evaluated",
        )
    };
    let all: Vec<f64> = (2..=7).map(|count| index(count, "euclidean")).collect();
    let best = (0..all.len()).max_by(|one, other| all[*one].total_cmp(&all[*other])).unwrap();
    assert_eq!(best + 2, 4, "{all:?}");
    assert!(all[2] > 2.0 * all[0]);
    // The angle does not tell these clusters apart.
    assert!(index(4, "cosine") < all[2] && index(4, "cityblock") > all[0]);
}

/// A table in which the label follows a curve that no line is, with some noise.
fn rings() -> Mutex<Warehouse> {
    let mut numbers = Numbers(11);
    let rows = (0..600).map(|_| {
        let (x, y) = (numbers.around(0.0, 1.0), numbers.around(0.0, 1.0));
        let truth = x * x + y * y < 1.4;
        let noisy = if numbers.next() < 0.05 { !truth } else { truth };
        vec![x, y, numbers.next(), f64::from(noisy)]
    });
    let warehouse = filled("rings", &["x", "y", "noise", "label"], rows.collect());
    let split = [
        ("inputTableName", "rings"),
        ("output1TableName", "train"),
        ("output2TableName", "test"),
        ("fraction", "0.5"),
        ("seed", "1"),
    ];
    run(&warehouse, "split", &split).unwrap();
    assert_eq!(number(&warehouse, "select count(*) as n from train"), 300.0);
    warehouse
}

/// The area under the curve of a model on the rows that it has not seen.
fn evaluated(warehouse: &Mutex<Warehouse>) -> f64 {
    let predict = [
        ("inputTableName", "test"),
        ("modelName", "m"),
        ("outputTableName", "predicted"),
        ("appendColNames", "label"),
    ];
    run(warehouse, "prediction", &predict).unwrap();
    let evaluate = [
        ("inputTableName", "predicted"),
        ("labelColName", "label"),
        ("scoreColName", "prediction_score"),
        ("outputMetricTableName", "metrics"),
        ("outputDetailTableName", "details"),
    ];
    run(warehouse, "evaluate", &evaluate).unwrap();
    number(warehouse, "select value from metrics where name = 'AUC'")
}

#[test]
fn more_and_deeper_trees_predict_better_than_one_and_than_a_line() {
    let warehouse = rings();
    let trees = |count: &str, depth: &str| {
        let train = [
            ("inputTableName", "train"),
            ("labelColName", "label"),
            ("featureColNames", "x,y,noise"),
            ("objective", "binary:logistic"),
            ("treeCount", count),
            ("maxDepth", depth),
            ("modelName", "m"),
            ("outputImportanceTableName", "importance"),
        ];
        run(&warehouse, "ps_smart", &train).unwrap();
        evaluated(&warehouse)
    };
    let (one, many) = (trees("1", "1"), trees("50", "3"));
    assert!(many > 0.9 && many > one + 0.1, "{one} {many}");
    assert!(trees("50", "3") == many, "the same training gives the same trees");
    let noise = number(&warehouse, "select value from importance where id = 2");
    assert!(number(&warehouse, "select value from importance where id = 0") > 5.0 * noise);
    // What evaluation counts is what SQL counts in the prediction.
    let recall =
        "select sum(if(label = 1 and prediction_result = '1', 1, 0)) / sum(label) as r from predicted";
    let said = number(&warehouse, "select value from metrics where name = 'Recall'");
    assert!((number(&warehouse, recall) - said).abs() < 1e-12);

    let train = [
        ("inputTableName", "train"),
        ("labelColName", "label"),
        ("modelName", "m"),
        ("regularizedType", "l2"),
    ];
    run(&warehouse, "logisticregression_binary", &train).unwrap();
    let line = evaluated(&warehouse);
    assert!(line < 0.7, "{line}");
}

#[test]
fn a_line_is_enough_where_there_is_one_and_a_penalty_can_be_too_much() {
    let mut numbers = Numbers(5);
    let rows = (0..400).map(|_| {
        let (x, y) = (numbers.around(0.0, 1.0), numbers.around(0.0, 1.0));
        vec![x, y, f64::from(x - 2.0 * y + numbers.around(0.0, 0.5) > 0.0)]
    });
    let warehouse = filled("rings", &["x", "y", "label"], rows.collect());
    let split = [
        ("inputTableName", "rings"),
        ("output1TableName", "train"),
        ("output2TableName", "test"),
        ("seed", "2"),
    ];
    run(&warehouse, "split", &split).unwrap();
    let line = |level: &str| {
        let train = [
            ("inputTableName", "train"),
            ("labelColName", "label"),
            ("featureColNames", "x,y"),
            ("modelName", "m"),
            ("regularizedLevel", level),
            ("goodValue", "1.0"),
        ];
        run(&warehouse, "logisticregression_binary", &train).unwrap();
        evaluated(&warehouse)
    };
    assert!(line("1") > 0.95);
    // All weights are 0: every row is as probable as another.
    assert_eq!(line("100000"), 0.5);
}

#[test]
fn sparse_features_are_read() {
    let warehouse = Mutex::new(Warehouse::new("p").unwrap());
    let rows: Vec<String> = (0..20)
        .map(|at| format!("select {0} as label, '1:{at}.5 3:{1}' as features", at / 10, at % 3))
        .collect();
    let query = format!("create table t as select * from ({}) tmp", rows.join(" union all "));
    warehouse.lock().unwrap().run(&query, &Circumstances::default()).unwrap();
    let train = [
        ("inputTableName", "t"),
        ("labelColName", "label"),
        ("featureColNames", "features"),
        ("enableSparse", "true"),
        ("objective", "binary:logistic"),
        ("treeCount", "5"),
        ("modelName", "m"),
        ("outputImportanceTableName", "importance"),
    ];
    run(&warehouse, "ps_smart", &train).unwrap();
    assert_eq!(number(&warehouse, "select id from importance"), 1.0);
    let predict = [
        ("inputTableName", "t"),
        ("modelName", "m"),
        ("outputTableName", "predicted"),
        ("enableSparse", "true"),
    ];
    run(&warehouse, "prediction", &predict).unwrap();
    let right = "select count(*) as n from predicted where cast(label as string) = prediction_result";
    assert_eq!(number(&warehouse, right), 20.0);
}

#[test]
fn what_an_algorithm_cannot_do_it_says() {
    let warehouse = filled("points", &["f0", "f1"], vec![vec![1.0, 2.0], vec![3.0, 4.0]]);
    warehouse
        .lock()
        .unwrap()
        .run("create table holes as select null as f0", &Circumstances::default())
        .unwrap();
    let with = |table: &'static str, more: &[(&'static str, &'static str)]| {
        let mut all = vec![("inputTableName", table), ("idxTableName", "x"), ("outputTableName", "x")];
        all.extend(more);
        all
    };
    for (name, parameters, says) in [
        ("kmeans", with("none", &[]), "ODPS-0130131"),
        ("kmeans", with("points", &[("centerCount", "3")]), "centerCount is 3, and there are 2 rows"),
        ("kmeans", with("points", &[("centerCount", "0")]), "must be between 1 and 1000"),
        ("kmeans", with("points", &[("selectedColNames", "f9")]), "column f9 cannot be resolved"),
        (
            "kmeans",
            with("points", &[("distanceType", "far"), ("centerCount", "2")]),
            "must be one of euclidean",
        ),
        (
            "kmeans",
            with("holes", &[("selectedColNames", "f0"), ("centerCount", "1")]),
            "Null feature value found",
        ),
        ("cluster_evaluation", with("points", &[("modelName", "m")]), "offline model m does not exist"),
        (
            "ps_smart",
            with("points", &[("labelColName", "f1"), ("objective", "binary:logistic"), ("modelName", "m")]),
            "a label is not between 0 and 1",
        ),
        ("prediction", with("points", &[]), "parameter modelName is required"),
        (
            "evaluate",
            with("points", &[("labelColName", "f0"), ("scoreColName", "f1"), ("positiveLabel", "9")]),
            "all rows have one label",
        ),
        ("word2vec", with("points", &[]), "is not simulated"),
    ] {
        let said = run(&warehouse, name, &parameters).unwrap_err();
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn an_algorithm_that_was_terminated_writes_nothing() {
    let warehouse = filled("points", &["f0", "f1"], vec![vec![1.0, 2.0], vec![3.0, 4.0]]);
    let pairs = [("inputTableName", "points"), ("output1TableName", "part")];
    let parameters = Parameters::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    pai::run("split", &parameters, &warehouse, 0, || false).unwrap();
    assert!(!warehouse.lock().unwrap().tables.contains_key("part"));
}

#[test]
fn a_trial_of_three_tasks_gives_its_metric() {
    let (_simulator, caller) =
        started(json!({"life": {"waiting_ms": 0, "running_ms": 0}, "results": {"plain": true}}));
    let done = |body: &str| {
        let id = caller.create(body);
        caller.wait_for(&id, "Success");
        id
    };
    done(&sql(
        "create table pai_kmeans_test_input as select * from (select 'id1' as id,1 as f0,2 as f1 union all select 'id2',1,3 union all select 'id3',1,4 union all select 'id4',0,3 union all select 'id5',0,4) tmp",
        None,
        9,
    ));
    let train = xflow(
        "kmeans",
        &[
            ("inputTableName", "simulated_project.pai_kmeans_test_input"),
            ("selectedColNames", "f0,f1"),
            ("centerCount", "2"),
            ("initCenterMethod", "topk"),
            ("modelName", "simulated_project/offlinemodels/m"),
            ("idxTableName", "idx"),
        ],
        Some("g1"),
    );
    let id = done(&train);
    let actions = caller.look(&id, "xresult").xml();
    let actions = &actions.child("Actions").unwrap().children;
    let sub = actions[1].value("InstanceId").unwrap();
    assert_eq!(caller.task_status(sub), "Success");
    done(&xflow(
        "cluster_evaluation",
        &[
            ("inputTableName", "simulated_project.pai_kmeans_test_input"),
            ("selectedColNames", "f0,f1"),
            ("modelName", "simulated_project/offlinemodels/m"),
            ("outputTableName", "eval"),
        ],
        Some("g2"),
    ));
    let id = done(&sql(
        "select get_json_object(summary, '$.calinhara') as vrc, get_json_object(summary, '$.clusterCounts.0') as n from eval",
        None,
        9,
    ));
    let text = caller.result(&id);
    let row: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    // Worked out by hand: centres (1, 2) of one point and (0.5, 3.5) of four; between 2.0 / 1, within 2.0 / 3.
    let vrc: f64 = row[0].trim_matches('"').parse().unwrap();
    assert_eq!(row[1], "\"1\"");
    assert!((vrc - 3.0).abs() < 1e-9, "{vrc}");
}
