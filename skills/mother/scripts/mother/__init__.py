"""The first routine of an agent in its jail: identity, secrets, registration, heartbeat, work.

Started by mother.sh, which runs __main__.py. Each file is one idea; none imports one that stands below it:

    errors.py         what can go wrong: each class is one exit status
    talk.py           answers on stdout, conversation on stderr
    files.py          reading a local file, with limits
    fields.py         strict JSON, and the fields of it
    identity.py       who I am: SOUL.md against the lock record
    endpoint.py       where the hive listens
    env_file.py       the secrets: is their file whole, and mine alone?
    exchange.py       one request and its answer, within a time that no peer can stretch
    hive.py           the hive's API: token in, answer or error out
    registration.py   what I can do
    heartbeat.py      that I live, and whether I may work
    job.py            one job, claimed under a lease
    lease.py          the lease kept while the work lasts
    running.py        COMMAND as a process, fed and bounded and ended
    verdict.py        how the work on a job ended
    pace.py           pauses: after failures, and between claims
    worker.py         one job from claim to answer
    options.py        the command line
    commands.py       the verbs
    main.py           one place that turns errors into answers

What is promised: the token leaves this program in one request header and nowhere else; no redirect is followed and
no proxy used; every wait, every answer and every output has a limit, and none is measured by a clock that can be set;
once a lease is lost the command is killed and nothing more is said about that job. Python 3.9 or newer, standard
library only.
"""
