from __future__ import annotations
import pytest
from tests.sandbox.test_hostile_pipeline import *
from tasks.core import nextflow
C = {
 "deep.json": b"["*100_000+b"]"*100_000, "sur.json": b'[{"sample":"\\ud800","f":"https://data.example.org/none.fq"}]', "sur2.json": b'[{"sample":"\\ud800"}]', "big.json": b'[{"a":'+b"9"*10_000+b"}]", "nan.json": b'[{"a":NaN}]', "scalar.json": b"1", "obj.json": b'{"a":"https://data.example.org/r.fq"}', "mixed.json": b'[1,"x",[2],{"a":{"b":["https://data.example.org/r.fq"]}}]',
 "bomb.yml": b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n", "tag.yml": b"- !!python/object/apply:os.system ['touch ran']\n", "deep.yaml": b"["*5_000+b"]"*5_000, "date.yml": b"- {a: 2020-01-01, b: 0x1f, c: !!binary aGk=, 1: x, null: y, ? [1] : z}\n", "multi.yml": b"--- 1\n--- 2\n", "merge.yml": b"- &x {a: 1}\n- <<: *x\n", "deepdq.yaml": b"- "*3000+b"x\n", "set.yml": b"- !!set {a, b}\n", "tab.yml": b"a:\t- b\n\t- c\n",
 "nul.tsv": b"a\tb\n1\t\x00\n", "txt.txt": b"../../secret.txt\nhttps://data.example.org/r.fq\n/etc/passwd\n", "x.csv": b"sample,f\na,\"https://data.example.org/r.fq\nhttps://data.example.org/r.fq\"\n", "two.csv": b"sample,f\na,https://data.example.org/r.fq;https://data.example.org/r.fq\nb,file:///etc/passwd;https://data.example.org/r.fq\n",
}
@pytest.mark.parametrize("name", list(C))
def test_one(hostile, web, monkeypatch, name):
    monkeypatch.setattr(nextflow, "config", lambda *a, **k: {"params": {"input": f"{PUBLIC}{name}"}})
    web.files[f"/{name}"] = C[name]
    web.files["/r.fq"]=READS
    hostile.run("stage")
    t=time.time()
    said = hostile.fault("mirror:data")
    out = [ (str(p)[-30:], p.read_text()[:200]) for p in [Path("build/here/hostile/inputs.csv")]]
    print("@@", name, f"{time.time()-t:.1f}", len(said or ""), repr(said[:400]) if said else out)
    if not said:
        hostile.run("plugins:cache")
        folder, ready = arrived(hostile)
        print("@@   ", ready.params.read_text()[:200], [p.read_text()[:200] for p in ready.folder.rglob(f"sheets/**/{name}")])

def test_schema(hostile, web, monkeypatch):
    monkeypatch.setattr(nextflow, "config", lambda *a, **k: {"params": {"input": f"x.csv"}})
    for c in (b"["*100_000, b"\xff", b"{}", b'{"properties":[1]}'):
        hostile.write("nextflow_schema.json", c)
        hostile.run("stage")
        print("@@ schema", c[:20], hostile.fault("mirror:data"))
