//! Policies that are clumsy, or mean harm: none hangs, aborts or swells the process, and every one
//! says what is wrong with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

/// What comes of a module whose rule `r` is asked for, in a thread with the stack that threads have.
fn answer(text: &str) -> Result<Option<serde_json::Value>, String> {
    let text = text.to_owned();
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || stagegate_rego::query("t.rego", &text, "data.t.r", None));
    thread.unwrap().join().unwrap()
}

#[track_caller]
fn fails(body: &str, with: &str) {
    let text = format!("package t\nimport rego.v1\n{body}\n");
    let began = Instant::now();
    let error = match answer(&text) {
        Err(error) => error,
        Ok(value) => panic!("{body}: {value:?}"),
    };
    assert!(error.contains(with), "{body}: {error}");
    // Not a measurement: what hangs here would hang for hours.
    assert!(began.elapsed() < Duration::from_secs(60), "{body}");
}

#[test]
fn what_is_wrong_is_told_with_its_place_before_it_is_evaluated() {
    for (body, error) in [
        (
            "r := f(1)\nf(n) := f(n + 1)",
            "4:1: data.t.f depends on itself",
        ),
        (
            "r := g(1)\nf(n) := g(n)\ng(n) := f(n)",
            "4:1: these depend on each other: data.t.f, data.t.g",
        ),
        ("r if r", "3:1: data.t.r depends on itself"),
        ("r := data.t", "3:1: data.t.r depends on itself"),
        ("r := data[input.x]", "`data` as a whole"),
        ("r if nosuch(1)", "3:6: there is no function nosuch"),
        (
            "r if startwith(\"a\", \"b\")",
            "there is no function startwith",
        ),
        ("r if data.lib.f(1)", "there is no function data.lib.f"),
        (
            "r if startswith(\"a\")",
            "3:6: startswith takes 2 arguments, and is given 1",
        ),
        (
            "r := f(1, 2)\nf(n) := n if { x := 1; x == 2 }\nq := f(1, 2, 3)",
            "takes 1 arguments, and is given 3",
        ),
        ("r := http.send({})", "3:6: http.send is not available"),
        ("r := time.now_ns()", "does not depend on the clock"),
        ("r := opa.runtime()", "does not depend on the environment"),
        ("r := rand.intn(\"a\", 3)", "does not depend on chance"),
        ("r := uuid.rfc4122(\"a\")", "does not depend on chance"),
        (
            "r := net.lookup_ip_addr(\"a\")",
            "depends on nothing outside",
        ),
        (
            "r := [[[[[[[[[1]]]]]]]]]",
            "3:14: brackets nest deeper than 8",
        ),
        ("r := {", "this is no Rego"),
        ("r := x", "unsafe"),
    ] {
        fails(body, error);
    }
}

#[test]
fn a_long_chain_is_refused_and_a_short_one_fits_the_stack() {
    let chain = |n: usize| {
        let functions: String = (1..=n)
            .map(|i| format!("f{i}(x) := [y | y := f{}(x)]\n", i - 1))
            .collect();
        format!("f0(x) := x\n{functions}r := f{n}(1)")
    };
    fails(&chain(300), "nest");
    for step in [
        "f{i}(x) := [y | y := f{j}(x)]",
        "f{i}(x) if { every y in [x] { f{j}(y) } }",
        "f{i}(x) := object.get({}, [f{j}(x)], (1 + (2 * x)))",
        "f{i}(x) := y if { z := {y | some y in [x]; not y in {2}}; some y in z; f{j}(y) } else := 3",
    ] {
        let functions: String = (1..=40)
            .map(|i| {
                step.replace("{i}", &i.to_string())
                    .replace("{j}", &(i - 1).to_string())
                    + "\n"
            })
            .collect();
        let text = format!("package t\nimport rego.v1\nf0(x) := x\n{functions}r := f40(1)\n");
        assert!(answer(&text).is_ok(), "{step}: {:?}", answer(&text));
    }
    let text = format!("package t\nimport rego.v1\n{}\n", chain(55));
    assert!(answer(&text).is_ok(), "{:?}", answer(&text));
}

#[test]
fn what_takes_too_many_steps_is_stopped() {
    let many = "numbers.range(1, 5000)";
    for body in [
        format!("r := count([1 | some i in {many}; some j in {many}; i * j == -1])"),
        format!("r := [x | some i in {many}; some j in {many}; x := [i, j]]"),
        format!("r := {{x | some i in {many}; some j in {many}; x := i * j}}"),
    ] {
        fails(&body, "did not come to an end within");
    }
}

#[test]
fn what_would_grow_too_large_is_refused_before_it_is_made() {
    let doubled = |step: &str, times: usize| {
        let lines: String = (1..=times)
            .map(|i| format!("x{i} := {}\n", step.replace('$', &format!("x{}", i - 1))))
            .collect();
        format!("x0 := \"aaaaaaaaaa\"\n{lines}r := count(x{times})")
    };
    for (body, error) in [
        ("r := count(numbers.range(1, 30000000))".to_owned(), "at most 100000 numbers"),
        ("r := numbers.range_step(1, 30000000, 2)".to_owned(), "at most 100000 numbers"),
        (doubled("replace($, \"a\", \"aa\")", 22), "replace"),
        (doubled("concat($, [$, $])", 22), "concat"),
        (doubled("sprintf(\"%s%s\", [$, $])", 22), "sprintf"),
        (doubled("regex.replace($, \"a\", \"aa\")", 22), "regex.replace"),
        (doubled("base64.encode($)", 60), "base64.encode"),
        ("r := sprintf(\"%1000000000d\", [1])".to_owned(), "width"),
        ("r := bits.lsh(1, 10000000000)".to_owned(), "bits.lsh"),
        ("r := units.parse(\"1e100000000\")".to_owned(), "too long"),
        ("r := count(net.cidr_expand(\"10.0.0.0/8\"))".to_owned(), "65536"),
        ("r := regex.match(\"(a{100}){100}\", \"a\")".to_owned(), "regex"),
        (
            "x := sprintf(\"%s\", [concat(\"\", [c | some i in numbers.range(1, 90000); c := \"aaaaaaaaaa\"])])\n\
             r := [y | some i in numbers.range(1, 1000); y := upper(x)]"
                .to_owned(),
            "more than there is room for",
        ),
    ] {
        fails(&body, error);
    }
}

#[test]
fn an_error_is_never_a_silent_pass() {
    for (body, error) in [
        ("r := to_number(\"abc\")", "(t.rego:3)"),
        ("r := 1 / 0", "divide by zero"),
        ("r := 1\nr := 2", "(t.rego:"),
        ("r if count(null) == 0", "count"),
    ] {
        fails(body, error);
    }
}
