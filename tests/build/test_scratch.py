import time, pytest
from pathlib import Path
from binder.errors import *
async def attempt(builder, repo, sha):
    try:
        async with builder.work() as work:
            c = await builder.git.fetch(repo.source, sha)
            into = work/"content"; into.mkdir(); import shutil; shutil.chown(into, builder.account.uid, builder.account.gid)
            await builder.git.lay_out(repo.source, c, into)
            print("   OK", len(c.files), sorted(p.name for p in into.iterdir())[:5])
    except Exception as e:
        print("  ", type(e).__name__, str(e)[:400], getattr(e,"file",None))
async def test_a(builder, make_repository, monkeypatch):
    import build.git as g
    orig = g.fault_of
    def show(source, output): print("   git said:", output.strip()); return orig(source, output)
    monkeypatch.setattr(g, "fault_of", show)
    r = make_repository({"a.txt": "x"})
    b = r.blob(b"x")
    def tree(*entries): return b"".join(f"{m} {t} {o}\t".encode()+n+b"\0" for m,t,o,n in entries)
    for name in (b".git", b".GIT", b"git~1", b"..", b".", b"a\\b", b"a:b", b"\xe9\xff", b".gitmodules", b"CON", b"x "*100, b"a\nb", b"-rf"):
        print(name)
        await attempt(builder, r, r.commit_tree(tree(("100644","blob",b,name))))
    print("dir .git"); t = r.git("mktree","-z",stdin=tree(("100644","blob",b,b"config")))
    await attempt(builder, r, r.commit_tree(tree(("040000","tree",t,b".git"))))
    print("submodule"); await attempt(builder, r, r.commit_tree(tree(("160000","commit","1"*40,b"sub"))))
    print("gitmodules link"); await attempt(builder, r, r.commit_tree(tree(("120000","blob",b,b".gitmodules"))))
    print("links"); l=r.blob(b"/etc/passwd"); await attempt(builder, r, r.commit_tree(tree(("120000","blob",l,b"link"))))
    print("twice"); await attempt(builder, r, r.commit_tree(tree(("100644","blob",b,b"a"),("100644","blob",b,b"a"))))
    print("slash"); 
    print("tree sha"); await attempt(builder, r, r.git("rev-parse","HEAD^{tree}"))
    print("blob sha"); await attempt(builder, r, b)
    r.git("tag","-a","-m","x","v1"); print("tag sha"); await attempt(builder, r, r.git("rev-parse","v1"))
    print("missing"); await attempt(builder, r, "1"*40)
    print("time"); await attempt(builder, r, r.commit({}, time=253402300800))
    print("empty"); await attempt(builder, r, r.commit_tree(b""))
    c=r.git("hash-object","-t","commit","-w","--stdin","--literally",stdin=b"tree "+r.git("rev-parse","HEAD^{tree}").encode()+b"\nauthor a <a> 99999999999999999999 +0000\ncommitter a <a> 99999999999999999999 +0000\n\nx\n")
    print("time2"); await attempt(builder, r, c)
    big=r.commit_tree(b"".join(b"100644 blob "+b.encode()+b"\tf%06d\0"%i for i in range(100_001)))
    t=time.time(); print("many"); await attempt(builder, r, big); print(time.time()-t)
