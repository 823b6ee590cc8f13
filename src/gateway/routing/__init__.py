"""The deciding core: rules, assignment, SLA clocks, visibility. Pure: no I/O, no clock of its own.

Rules
    load.load(files, names=None, *, version=0) -> Loaded(ruleset | None, problems)
        YAML text to a RuleSet, or every problem; about 1 ms a rule, so call it in a thread
    load.load_and_test(…)                             the same, and failing `tests:` are problems too: for publishing
    load.EMPTY                                        the rule set without rules
    names.Names / names.names_of(queues=, agents=, …) what rules may refer to
    facts.Facts, facts.facts_of(…)                    what the conditions look at, one per message
    decide.decide(ruleset, facts) -> Outcome          what the rules say, and why (`outcomes`)
    summary.facts_summary(facts) -> dict              for Decision.facts
    explain.explain(outcomes, ruleset, facts)         `outcomes` in words, one RuleOutcome per rule
    run_tests.run_tests(ruleset) -> list[TestResult]  the rules' own `tests:`
    difference.diff_decisions(old, new, facts)        who would fare otherwise; diff_rules(old, new)
Where to, and who
    queues.resolve_queue(queue, queues, now, default=None) -> (Queue, reason) · queues.is_open(queue, now)
    assign.choose(queue, need, agents, now) -> Choice                which agent, and why the others not
    capacity.take / give_back / points_for / used / has_room         an agent's load
    waiting.order_waiting(conversations, queues, now)                who is served first
Others
    sla.start / on_message / overdue … · visibility.may_see · schema.json_schema() for editors
"""
