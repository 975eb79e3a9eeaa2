"""Logs and status reasons of runs on AWS Batch, as they look, by the cause that they show.

Written for the tests, by the forms that public reports of Nextflow's users have; the names of
buckets, hosts and accounts are examples.
"""

from __future__ import annotations

HEAD = """\
Nov-26 09:12:01.118 [main] DEBUG nextflow.cli.Launcher - $> nextflow run main.nf -profile aws
Nov-26 09:12:01.904 [main] INFO  nextflow.cli.CmdRun - N E X T F L O W  ~  version 24.10.0
Nov-26 09:12:02.377 [main] DEBUG nextflow.plugin.BasePlugin - Plugin started nf-amazon@2.9.0
"""
TASK = """\
ERROR ~ Error executing process > 'COUNT (1)'

Caused by:
  {caused}

Command executed:
  wc -l reads.fq > lines.txt

Command exit status:
  {status}

Command output:
  (empty)

Command error:
  {error}

Work dir:
  s3://example-data/work/4c/d8742ea0f5a4aeab3d26e6e561fcb0
"""
ENDED = "Essential container in task exited"
S3 = "s3://example-data/work/4c/d8742e"


def task(error: str = "", *, caused: str = ENDED, status: object = 1) -> str:
    """What Nextflow's console shows of a task that failed."""
    return TASK.format(error=error, caused=caused, status=status)


def head(text: str) -> str:
    """A .nextflow.log that ends with this line."""
    return f"{HEAD}Nov-26 09:12:04.551 [main] ERROR nextflow.cli.Launcher - {text}\n"


LOGS = {
    "no-cli": task("bash: line 1: aws: command not found", status=127),
    "no-cli in dash": "sh: 1: aws: not found",
    "cli-without-ca": (
        f"download failed: {S3}/.command.sh to -\n"
        f"upload failed: ./.command.log to {S3}/.command.log SSL validation failed for "
        "https://example-data.s3.us-west-2.amazonaws.com/work/4c/d8742e/.command.log "
        "[Errno 2] No such file or directory\n"),
    "ca-not-trusted": (
        "fatal error: SSL validation failed for https://s3.inside.example.org/work [SSL: "
        "CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in "
        "certificate chain (_ssl.c:1006)"),
    "no-ca-bundle": ("fatal error: SSL validation failed for https://s3.inside.example.org/work "
                     "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found"),
    "no-credentials": task("download failed: .command.run to - Unable to locate credentials"),
    "no-route": task('fatal error: Could not connect to the endpoint URL: "https://example-data.s3.'
                     'us-west-2.amazonaws.com/work/4c/d8742e/.command.run"'),
    "s3-denied": task("fatal error: An error occurred (403) when calling the HeadObject operation: "
                      "Forbidden"),
    "s3-denied by the key": (
        f"upload failed: ./lines.txt to {S3}/lines.txt An error occurred (AccessDenied) when "
        "calling the PutObject operation: Access Denied"),
    "usr-hidden": task("bash: /usr/bin/aws: No such file or directory", status=127),
    "cli-not-on-host": task("bash: /opt/airlock-cli/bin/aws: No such file or directory",
                            status=127),
    "cli-without-python": (
        "bash: /home/ec2-user/miniconda/bin/aws: /home/ec2-user/miniconda/bin/python: bad "
        "interpreter: No such file or directory"),
    "cli-not-self-contained": ("/usr/bin/python2.7: error while loading shared libraries: "
                               "libpython2.7.so.1.0: cannot open shared object file: No such file "
                               "or directory"),
    "tool-missing": task(".command.run: line 165: uniq: command not found", status=0,
                         caused="Missing output file(s) `lines.txt` expected by process `COUNT`"),
    "tool-missing at the start": (
        "CannotStartContainerError: Error response from daemon: failed to create task for "
        'container: runc create failed: unable to start container process: exec: "bash": '
        "executable file not found in $PATH"),
    "no-queue": head("Job queue example-queue-v4 does not exist. (Service: AWSBatch; Status Code: "
                     "400; Error Code: ClientException)"),
    "expired": head("@unknown\ncom.amazonaws.services.batch.model.AWSBatchException: The security "
                    "token included in the request is expired (Service: AWSBatch; Status Code: 403;"
                    " Error Code: ExpiredTokenException)"),
    "no-work-folder": head("When using awsbatch executor an S3 bucket must be provided as working "
                           "directory using either the `-bucket-dir` or `-work-dir` command line "
                           "option"),
    "cli-path": head("Not a valid aws-cli tools path: aws -- it must be absolute and end with "
                     "'/bin/aws'"),
    "no-bucket": head("@unknown\ncom.amazonaws.services.s3.model.AmazonS3Exception: The specified "
                      "bucket does not exist (Service: Amazon S3; Status Code: 404)"),
    "other-region": head("The bucket is in this region: eu-west-1. Please use this region to retry "
                         "the request (Service: Amazon S3; Status Code: 301; Error Code: "
                         "PermanentRedirect)"),
    "regional-endpoint": "ERROR ~ The authorization header is malformed; the region 'us-east-1' is "
                         "wrong; expecting 'eu-west-1' (Service: S3, Status Code: 400)",
    "fusion-without-wave": head("Fusion feature requires enabling Wave service"),
    "mirror-and-freeze": head("Wave configuration error - 'wave.mirror' and 'wave.freeze' conflicts"
                              " each other"),
    "wave-unauthorized": head("Unauthorized [401] - Verify you have provided a valid access token"),
    "wave-unreachable": head("Unable to connect Wave service: https://wave.seqera.io"),
    "fusion-licence": (
        f"{HEAD}Nov-26 09:12:05.100 [main] WARN  i.s.tower.plugin.TowerFusionToken - Unable to "
        "validate Fusion license - Make sure to have added in your config 'tower.accessToken' or "
        "have defined the variable TOWER_ACCESS_TOKEN in your launch environment\n"),
    "wave-not-loaded": (
        f"{HEAD}Nov-26 09:12:03.001 [main] DEBUG n.executor.ExecutorFactory - Fusion enabled\n"
        "Nov-26 09:12:03.551 [main] ERROR nextflow.cli.Launcher - \n"),
    "wave-not-loaded on the console": "fusion.enabled=true\nERROR ~ \n\n -- Check '.nextflow.log'",
    "fusion-without-token": (
        f"{HEAD}Nov-26 09:12:02.640 [main] DEBUG nextflow.plugin.BasePlugin - Plugin started "
        "nf-tower@1.9.3\nNov-26 09:12:02.911 [main] DEBUG nextflow.Session - fusion: true\n"),
    "fusion-disk": "zerolog: could not write event: write /tmp/fusionfs.log175481470: no space "
                   "left on device",
    "fusion-without-role": "ERR unable to mount error=\"NoCredentialProviders: no valid providers "
                           "in chain. Deprecated.\"",
    "fusion-input-output": task("write lines.txt: input/output error", status=174),
    "pull-limit": (
        "Task failed to start - CannotPullContainerError: Error response from daemon: "
        "toomanyrequests: Request exceeded pull rate limit for IP 203.0.113.7"),
    "pull-unauthorized": task(caused=(
        "Task failed to start - CannotPullContainerError: Error response from daemon: Get "
        '"https://nexus.inside.example.org/v2/quay.io/a/b/manifests/1": unauthorized (401)'),
        status="-"),
    "pull-no-route": (
        "CannotPullContainerError: Error response from daemon: Get "
        '"https://123456789012.dkr.ecr.us-west-2.amazonaws.com/v2/": dial tcp 203.0.113.9:443: i/o '
        "timeout"),
    "pull-disk": ("Task failed to start - CannotPullContainerError: failed to register layer: write"
                  " /usr/local/lib/libopenblas.so: no space left on device"),
    "inspect-timeout": (f"{ENDED} - CannotInspectContainerError: Could not transition to "
                        "inspecting; timed out after waiting 30s"),
    "spot": "Host EC2 (instance i-0a1b2c3d4e5f60718) terminated.",
    "too-large": (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU)"
        " is higher than that can be met by the CE(s) attached to the job queue."),
    "no-capacity": ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity "
                    "requested for instance type [c6id.large]"),
    "service-role": ("CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: "
                     "AWSSecurityTokenService; Status Code: 403; Error Code: AccessDenied)"),
}
"""By the cause that is named first; what stands behind a blank tells two logs apart."""

AMONG_OTHERS = {"output-missing": LOGS["tool-missing"]}
"""What is never the first cause where another one shows."""

UNKNOWN = (
    task("Traceback (most recent call last): ZeroDivisionError: division by zero"),
    "myaws: command not found",
    "/opt/tools/aws: not found",
    "seqstats: command not found",
    "FileNotFoundError: [Errno 2] No such file or directory: 'reads.fq'",
    "SSL validation failed for https://example.org\n[Errno 2] No such file or directory",
    "uniqueness: command not found",
    "the sample 174 has no reads",
    "exit status: 1740",
    "aws-batch-helper: No such file or directory",
    f"{HEAD}Nov-26 09:12:09.000 [main] INFO  nextflow.Session - Goodbye with fusion",
    "Unauthorized [401]",
    "",
)
"""Logs that hold none of the messages, though some look like them."""
