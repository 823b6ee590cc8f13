"""The deciding core: rules, assignment, SLA clocks, visibility. Pure: no I/O, no clock of its own.

Rules
    load.load(files, names=None, *, version=0) -> Loaded(ruleset | None, problems)     YAML text to a RuleSet; call it
                                                                     in a thread: it takes about 1 ms a rule
    load.EMPTY                                                       the rule set without rules, version 0
    names.Names / names_of(queues=, agents=, …)                      what rules may refer to
    facts.Facts, facts.facts_of(...)                                 what the conditions look at, one per message
    decide.decide(ruleset, facts) -> decide.Outcome                  what the rules say, and why (`outcomes`)
    facts.facts_summary(facts) -> dict                               for Decision.facts
    explain.explain(outcomes, ruleset, facts) -> list[RuleOutcome]   `outcomes` in words
    example.run_tests(ruleset) -> list[TestResult]                   the rules' own `tests:`
    difference.diff_decisions(old, new, facts) / diff_rules(old, new)
Where to, and who
    queues.resolve_queue(queue, queues, now, default=None) -> (Queue, reason) · queues.is_open(queue, now)
    assign.choose(queue, need, agents, now) -> Choice                which agent, and why the others not
    capacity.take / give_back / points_for / used / has_room         an agent's load
    ownership.give / free                                            conversation and agent state, changed together
    waiting.order_waiting(conversations, queues, now)                who is served first
Others
    sla.start / on_message / overdue … · visibility.may_see · schema.json_schema() for editors
"""
