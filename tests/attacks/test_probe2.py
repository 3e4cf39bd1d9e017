import time, traceback
import pytest
from sqlalchemy import delete, update, insert
from repo_server.curation.candidates import find
from repo_server.db.models import *
from repo_server.db.session import snapshot, transaction
from repo_server.publishing import reinstatements, withdrawals
from repo_server.publishing.overview import overview
from repo_server.publishing.proposals import open_proposals
from signing.format.names import HolderName
from signing.errors import SkillRepoError
from tests.support.world import World, now, skill_md
from tests.support import withdrawing
from tests.support.withdrawing import draft, sign, withdraw, reinstate
from signing.format.withdrawal import Withdrawn

def lifting(world, what, by, reason):
    with transaction(world.repository.engine) as s:
        entry = reinstatements.find_withdrawal(world.repository, s, what, now=now())
        _, env = reinstatements.draft_reinstatement(world.repository, s, entry, reason=reason, by=HolderName(by), now=now())
    return entry, env

def test_race_reinstate(world):
    e = withdraw(world, "web-search")
    entry, env = lifting(world, "web-search", "alice", "ok")     # alice looks
    reinstate(world, "web-search", by="bob", reason="mine")        # bob signs meanwhile, published
    with transaction(world.repository.engine) as s:
        drafted = reinstatements.sign_reinstatement(world.repository, s, entry, env, world.signers["alice"], now=now())
    sign(world, drafted, by="alice"); world.publish()
    with snapshot(world.repository.engine) as s:
        print([w["lifting"] for w in overview(world.repository, s, now=now())["withdrawals"]])
        got = overview(world.repository, s, now=now())["withdrawals"]
    assert "bob" in got[0]["lifting"]

def status(world):
    with snapshot(world.repository.engine) as s:
        return overview(world.repository, s, now=now())

def bad(world, how):
    with transaction(world.repository.engine) as s:
        if how == "orphan":
            s.execute(insert(ProposalRow).values(subject="candidate:"+"0"*32, role="revocations", version=99, base_sha256="0"*64, content=b"{}", state="open", created_at=now()))
        if how == "orphan2":
            row = open_proposals(s)[0]
            s.execute(update(ProposalRow).values(subject="candidate:"+"0"*32))
        if how == "unknown kind":
            s.execute(update(ProposalRow).values(subject="nonsense"))
        if how == "role":
            s.execute(insert(ProposalRow).values(subject="candidate:"+"0"*32, role="nonsense", version=99, base_sha256="0"*64, content=open_proposals(s)[0].content, state="open", created_at=now()))
        if how == "content":
            s.execute(update(ProposalRow).values(content=b"{}"))
        if how == "release":
            c = find(s, "notes")
            s.execute(insert(ReleaseRow).values(name="notes", version="1.0", kind="skill", state="published", description="", bundle_sha256="0"*64, bundle_bytes=1, tree_sha256="0"*64, review_sha256="0"*64, reviewers="x", candidate_id=c.id, published_at=now()))
        if how == "resolved":
            s.execute(update(CandidateRow).where(CandidateRow.name=="notes").values(resolved="{"))
        if how == "observations":
            s.execute(update(CandidateRow).where(CandidateRow.name=="notes").values(observations="nonsense"))
        if how == "review":
            s.execute(update(CandidateRow).where(CandidateRow.name=="notes").values(review_sha256="../../etc/passwd"))
        if how == "state":
            s.execute(update(CandidateRow).where(CandidateRow.name=="notes").values(state="odd"))
        if how == "release version":
            s.execute(update(ReleaseRow).values(version="odd!"))

HOW = ["orphan","orphan2","unknown kind","role","content","release","resolved","observations","review","state","release version"]
@pytest.mark.parametrize("how", HOW)
def test_bad(world, how):
    c = world.import_skill("notes==1.0")
    world.review(c)
    for n in ("alice","bob"): world.sign(c, by=n)
    bad(world, how)
    errs = []
    try:
        status(world)
    except SkillRepoError as e: errs.append(("status", "ours", repr(e)[:200]))
    except Exception as e: errs.append(("status", repr(e)[:200]))
    try:
        withdraw(world, "web-search")
    except SkillRepoError as e: errs.append(("withdraw", "ours", repr(e)[:200]))
    except Exception as e: errs.append(("withdraw", repr(e)[:200]))
    try:
        r = world.publish()
        print(r.blocked)
    except SkillRepoError as e: errs.append(("publish", "ours", repr(e)[:200]))
    except Exception as e: errs.append(("publish", repr(e)[:200]))
    try:
        new = world.import_skill("notes==2.0"); world.review(new)
    except SkillRepoError as e: errs.append(("review", "ours", repr(e)[:200]))
    except Exception as e: errs.append(("review", repr(e)[:200]))
    assert not errs, "\n".join(map(str, errs))
