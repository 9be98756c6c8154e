//! PodDisruptionBudgets delay evictions, and the report names them.

use std::time::{Duration, Instant};

use ::harness::{Limit, Result, TestNamespace, WorkloadSpec, annotation};

use crate::support::{
    Outcome, RunExt as _, VICTIMS, account, assert_untouched, evict_rules, skewed, uids,
};

#[tokio::test]
async fn budget_without_disruptions_blocks_all_evictions() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    ns.budget("keep-all", &consumer, Limit::MaxUnavailable("0".into()))
        .await?;
    let program = ns.rebalancer(&consumer);
    // A dry run reports the budget too, and does not wait for it.
    let run = program.clone().arg("--dry-run").ends_with(3).await?;
    // Evicting a cold pod without a hot one is no gain, so no such eviction is requested.
    let blocked = ["blocked", "blocked", "not_attempted", "not_attempted"];
    assert_eq!(run.outcomes(), blocked);
    assert!(run.0.elapsed < Duration::from_secs(50), "{}", run.0);

    let program = program.env("EVICTION_TIMEOUT", "3s");
    let run = program.clone().ends_with(3).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), blocked);
    for pod in &run.workload()["execution"]["pods"].as_array().unwrap()[..2] {
        run.assert_says(pod["message"].as_str().unwrap(), &["keep-all"]);
        assert_eq!(pod["budget"], "keep-all");
    }
    let whole = run.workload()["execution"]["message"].clone();
    run.assert_says(whole.as_str().unwrap(), &["(PodDisruptionBudget keep-all)"]);
    assert_eq!(run.events("pod not evicted").len(), 4, "{}", run.0);
    for line in &run.events("pod not evicted")[..2] {
        run.assert_says(line["detail"].as_str().unwrap(), &["keep-all"]);
    }
    assert!(run.0.elapsed < Duration::from_secs(50), "{}", run.0);
    assert_untouched(&consumer, &before).await?;

    // A second budget for the same pod gives another message.
    ns.budget("keep-some", &consumer, Limit::MinAvailable("1".into()))
        .await?;
    let run = program.clone().ends_with(3).await?;
    assert_eq!(
        run.outcomes(),
        ["failed", "failed", "not_attempted", "not_attempted"]
    );
    let message = run.workload()["execution"]["pods"][0]["message"].clone();
    run.assert_says(
        message.as_str().unwrap(),
        &["two or more PodDisruptionBudgets select the pod"],
    );
    assert_untouched(&consumer, &before).await?;

    // Deletion does not respect budgets.
    let run = program
        .env("EVICTION_METHOD", "delete")
        .ends_with(0)
        .await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    let after = consumer.wait_ready().await?;
    let left = |uid: &String| after.iter().any(|pod| pod.uid == *uid);
    assert!(!uids(&before, &VICTIMS).iter().any(left));
    Ok(())
}

#[tokio::test]
async fn budget_of_one_allows_evictions_one_at_a_time() -> Result<()> {
    let ns = TestNamespace::start().await?;
    // The next attempt comes before the replacement is ready.
    let spec = WorkloadSpec::deployment("consumer").annotation(annotation::READY_AFTER, "2");
    let consumer = skewed(&ns, spec).await?;
    let before = consumer.pods().await?;
    ns.budget("one-by-one", &consumer, Limit::MaxUnavailable("1".into()))
        .await?;
    let run = ns
        .rebalancer(&consumer)
        .env("EVICTION_TIMEOUT", "50s")
        .ends_with(0)
        .await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    let answers = run.events("eviction answered");
    let blocked = answers.iter().filter(|line| line["outcome"] == "blocked");
    assert!(blocked.count() > 0, "{}", run.0);
    let after = consumer.wait_ready().await?;
    let left = |uid: &String| after.iter().any(|pod| pod.uid == *uid);
    assert!(!uids(&before, &VICTIMS).iter().any(left));
    Ok(())
}

/// Each eviction of a dry run is checked alone, so each of them passes the server.
#[tokio::test]
async fn dry_run_counts_its_evictions_against_the_budgets() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    ns.budget("one-by-one", &consumer, Limit::MaxUnavailable("1".into()))
        .await?;
    let program = ns.rebalancer(&consumer).arg("--dry-run");
    let run = program.clone().ends_with(0).await?;
    let waits = "would_wait";
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), ["evicted", waits, waits, waits]);
    let execution = run.workload()["execution"].clone();
    run.assert_says(
        execution["message"].as_str().unwrap(),
        &[
            "dry run: 1 of 4 pods would be evicted at once, 3 would wait for \
           PodDisruptionBudget one-by-one (allows 1 disruption) up to the eviction timeout",
        ],
    );
    assert!(execution.get("note").is_none(), "{}", run.0);
    for pod in &execution["pods"].as_array().unwrap()[1..] {
        assert_eq!(pod["budget"], "one-by-one");
        run.assert_says(
            pod["message"].as_str().unwrap(),
            &["one-by-one allows 1 disruption"],
        );
    }
    assert_eq!(run.events("pod not evicted").len(), 0, "{}", run.0);
    assert_eq!(
        run.events("pod would wait for its eviction").len(),
        3,
        "{}",
        run.0
    );
    program.clone().arg("--exit-code").ends_with(10).await?;

    // A real run waits for all replacements between two waves, and the budget recovers.
    let run = program
        .clone()
        .env("MAX_UNAVAILABLE", "1")
        .ends_with(0)
        .await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);

    // Without the right to list budgets, the report says what is missing.
    let account = account(&ns, "without-budgets", &evict_rules()).await?;
    let run = program
        .env("KUBECONFIG", &account.kubeconfig)
        .ends_with(0)
        .await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    let note = run.workload()["execution"]["note"].clone();
    run.assert_says(
        note.as_str().unwrap(),
        &[
            "each eviction was checked alone",
            "grant verb `list` on `poddisruptionbudgets` in API group `\"policy\"`",
        ],
    );
    run.assert_says(&run.0.stderr, &["PodDisruptionBudgets not read"]);
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn sigterm_ends_the_wait_for_a_budget() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    ns.budget("keep-all", &consumer, Limit::MaxUnavailable("0".into()))
        .await?;
    let account = account(&ns, "evictor", &evict_rules()).await?;
    let evictions = || -> Result<usize> {
        let calls = ns.audit(&account)?;
        let evictions = calls
            .iter()
            .filter(|call| call.action() == "create pods/eviction");
        Ok(evictions.count())
    };
    let running = ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", &account.kubeconfig)
        .env("OUTPUT", "json")
        .env("EVICTION_TIMEOUT", "2m")
        .spawn()?;
    let started = Instant::now();
    while evictions()? < 2 {
        assert!(started.elapsed() < Duration::from_secs(30), "no evictions");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.terminate().await?;
    let terminated = Instant::now();
    let run = running.wait().await?;
    assert!(terminated.elapsed() < Duration::from_secs(25), "{run}");
    assert_eq!(run.code, Some(3), "{run}");
    let run = Outcome(run);
    assert_eq!(run.workload()["execution"]["stopped"], "stopped");
    assert_eq!(
        run.outcomes(),
        ["blocked", "blocked", "not_attempted", "not_attempted"]
    );
    assert_untouched(&consumer, &before).await
}
