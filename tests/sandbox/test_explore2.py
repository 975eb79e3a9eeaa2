from __future__ import annotations
import pytest
from tests.sandbox.test_hostile_pipeline import *
from tasks.core import nextflow

def bomb():
    one = gzip.compress(bytes(1<<24), 9)
    return one * 1024   # 16 GiB
SHEETS = {
 "gz": lambda: bomb(), "nul": lambda: b"a,b\n1,\0\n", "utf16": lambda: "a,b\n1,2\n".encode("utf-16"), "huge": lambda: b"a,b\n" + b"x"*200_000+b",1\n",
 "open": lambda: b'a,b\n"1,2\n', "wide": lambda: b",".join(b"c%d"%i for i in range(200_000))+b"\n"+b"1,"*199_999+b"1\n", "more": lambda: b"a\n1,2,3\n"*50000, "empty": lambda: b"", "nl": lambda: b"\n"*100000,
 "dup": lambda: b"a,a,a\n1,2,3\n", "esc": lambda: b"sample,\x1b[2Jfq\na,https://data.example.org/none\n", "cr": lambda: b"a,b\r1,2\r", "html": lambda: b"<html><body>Not found</body></html>", "self": lambda: b"sample,f\na,https://data.example.org/sheet.csv\n",
 "nest": lambda: b"sample,f\na,https://data.example.org/n1.csv\n", "bin": lambda: bytes(range(256))*1000,
 "manymiss": lambda: b"sample,f\n"+b"".join(b"s%d,gs://b/%d.fq\n"%(i,i) for i in range(100_000)),
 "sharedmiss": lambda: b"sample,f\n"+b"".join(b"s%d,gs://b/x.fq\n"%(i) for i in range(100_000)),
}
@pytest.mark.parametrize("name", list(SHEETS))
def test_one(hostile, web, monkeypatch, name):
    monkeypatch.setattr(nextflow, "config", lambda *a, **k: {"params": {"input": f"{PUBLIC}sheet.csv"}})
    web.files["/sheet.csv"] = SHEETS[name]()
    for i in range(1,12): web.files[f"/n{i}.csv"] = f"id,f\na,https://data.example.org/n{i+1}.csv\n".encode()
    hostile.run("stage")
    t=time.time()
    said = hostile.fault("mirror:data")
    print("@@", name, f"{time.time()-t:.1f}", len(said or ""), repr(said[:700]) if said else repr(Path("build/here/hostile/inputs.csv").read_text()[:100]))
