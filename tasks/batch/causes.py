"""What logs and status reasons of runs on AWS Batch say, what that means and what cures it.

The messages are those of the AWS CLI, of Batch and the ECS agent, and of Nextflow with its plugins
nf-amazon and nf-wave; a number such as nf#6559 is an issue of nextflow-io/nextflow that shows the
message. A pattern is matched against a whole log: it never begins with a repetition, and what it
passes over is bounded, so that no log makes it slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"
"""How surely a message has this cause: those named first come first."""
CERTAINTIES = (CERTAIN, LIKELY, POSSIBLE)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A cause with its cure; its message stands in Nextflow's log, the job's log or the status.

    `pattern` finds the message. All of `along` must be in the log too, and none of `without`.
    """

    name: str
    pattern: str
    cause: str
    cure: str
    certainty: str = CERTAIN
    along: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


CARRY = ("carry a self-contained CLI: `mode: carried-cli` under batch in the site's file, then "
         "`doit batch:config` and `doit batch:host`; or, with internet, `mode: fusion`")
FUSION = r"(?i:\bfusion\b)"
CLI = r"/bin/aws\b"
TOOLS = ("awk|basename|bash|cat|chmod|cp|cut|date|dirname|find|grep|head|ln|mkdir|mktemp|mv|nproc|"
         "ps|rm|sed|seq|sleep|sort|stat|tail|tee|touch|tr|uniq|xargs")
"""What Nextflow's own script calls in a job's image besides the task's command."""
PULL = r"CannotPull(?:Container|Image)(?:Error)?\b[^\n]{0,600}?"

CAUSES = (
    # The CLI in the job.
    Cause(name="no-cli", pattern=r"(?<![/\w.-])aws: (?:command )?not found",
          cause="no AWS CLI is in the job's reach: nothing can be staged", cure=CARRY),
    Cause(name="cli-without-ca",
          pattern=r"SSL validation failed for https?://[^\n]{1,600}?"
                  r"\[Errno 2\] No such file or directory",
          cause="an AWS CLI runs in the job, but the file of CA certificates that it looks for "
                "isn't there (nf#6559): with cliPath=/usr/bin/aws the host's /usr is mounted and "
                "its /etc/pki is not", cure=CARRY + "; or mount the host's CA file by "
                                                    "aws.batch.volumes"),
    Cause(name="ca-not-trusted", pattern=r"CERTIFICATE_VERIFY_FAILED",
          cause="the server's certificate is of a CA that the client doesn't trust",
          cure="let AWS_CA_BUNDLE name the bundle that holds that CA (a private S3, or a proxy "
               "that opens TLS); never switch verification off"),
    Cause(name="no-ca-bundle", pattern=r"NO_CERTIFICATE_OR_CRL_FOUND",
          cause="the file that AWS_CA_BUNDLE or the CLI's settings name holds no certificate",
          cure="let it name a bundle in PEM form, which begins with BEGIN CERTIFICATE"),
    Cause(name="no-credentials", pattern=r"Unable to locate credentials",
          cause="the job gets no credentials: the instance has no role, or the metadata service "
                "allows one hop and a container needs two",
          cure="give the compute environment an instance role and the launch template a hop limit "
               "of 2 (`doit batch:infra:plan` shows both), or set aws.batch.jobRole"),
    Cause(name="no-route", pattern=r"Could not connect to the endpoint URL",
          cause="the network has no route to the service that the message names",
          cure="for S3 add a gateway endpoint and associate it with the route tables of the "
               "subnets; for other services an interface endpoint with private DNS"),
    Cause(name="s3-denied",
          pattern=r"(?:Head|Put|Get|Copy|Delete|List)(?:Object|Bucket|ObjectsV2|Objects)"
                  r"(?:Tagging)? operation: (?:Forbidden|Access ?Denied)"
                  r"|CreateMultipartUpload operation: Access ?Denied",
          cause="the job's role may not read or write there, or may not use the bucket's KMS key "
                "(nf#4776)",
          cure="`doit batch:doctor` simulates the role's rights; the key's policy must allow it "
               "kms:Decrypt and kms:GenerateDataKey too"),
    Cause(name="usr-hidden", pattern=r"(?<![\w/])/usr/bin/aws: No such file or directory",
          cause="cliPath=/usr/bin/aws mounts the host's /usr over the image's own, and the host "
                "has no CLI there (nf#1064)", cure=CARRY),
    Cause(name="cli-not-on-host", certainty=LIKELY, without=(r"(?<![\w/])/usr/bin/aws: No such",),
          pattern=r"(?<=/bin/)aws: No such file or directory",
          cause="the folder that cliPath names isn't on the instance: its user data did not run, "
                "or failed", cure="read /var/log/cloud-init-output.log on the instance; `doit "
                                  "batch:host` makes the user data that unpacks the CLI"),
    Cause(name="cli-without-python", pattern=r"bad interpreter\b",
          cause="the CLI is a script, and the Python that it names isn't in the job's image, or "
                "can't start there, as in images on musl (nf#1865)", cure=CARRY),
    Cause(name="cli-not-self-contained",
          pattern=r"libpython[\w.]{0,40}: cannot open shared object file",
          cause="the CLI's Python needs libraries that the job's image lacks (nf#1116)",
          cure=CARRY),
    # The image.
    Cause(name="tool-missing", pattern=rf"\b(?:{TOOLS}): (?:command )?not found"
                                       rf"|exec: \"(?:/bin/)?bash\": ",
          cause="the image lacks a program that Nextflow's own script needs for staging and "
                "unstaging", cure="take an image that holds bash, ps, uniq and the rest (procps "
                                  "and coreutils); `doit batch:doctor` names what is missing"),
    Cause(name="output-missing", pattern=r"Missing output file\(s\)", certainty=POSSIBLE,
          cause="the task ended well, and its files were not there afterwards: it doesn't write "
                "them, or unstaging lost them",
          cure="look in the job's log (.command.log) for `command not found` and failed uploads "
               "first, then at the process's output section"),
    # What Nextflow says before a job is submitted.
    Cause(name="no-queue",
          pattern=r"Job ?[Qq]ueue,? [^\n]{1,300}?(?:do(?:es)? not exist|not found)",
          cause="there is no job queue of that name in this region",
          cure="correct batch.queue and aws.region in the site's file, then `doit batch:config`"),
    Cause(name="expired", pattern=r"security token included in the request is expired"
                                  r"|\bExpiredToken",
          cause="the credentials have expired",
          cure="log in again (`aws sso login`), or give the head node a role, whose credentials "
               "renew themselves"),
    Cause(name="no-work-folder",
          pattern=r"an S3 bucket must be provided as working directory",
          cause="the work folder isn't in S3", cure="set workDir = 's3://BUCKET/PREFIX' in profile "
                                                    "aws, or run with -work-dir"),
    Cause(name="cli-path", pattern=r"Not a valid aws-cli tools path",
          cause="aws.batch.cliPath isn't absolute, or doesn't end in /bin/aws",
          cure="set aws.batch.cliPath = '/opt/airlock-cli/bin/aws'"),
    Cause(name="no-bucket", pattern=r"The specified bucket does not exist|\bNoSuchBucket\b",
          cause="there is no such bucket", cure="correct batch.work in the site's file, or create "
                                                "the bucket (`doit aws:apply`)"),
    Cause(name="other-region",
          pattern=r"The bucket is in this region: |\bPermanentRedirect\b",
          cause="the bucket lies in another region than aws.region (nf#1596)",
          cure="set aws.region to the bucket's region, or use a bucket in this one"),
    Cause(name="regional-endpoint", pattern=r"the region '[^'\n]{1,40}' is wrong; expecting",
          cause="aws.client.endpoint names a regional endpoint of AWS, and Nextflow 25.10 then "
                "signs for us-east-1 (nf#6528)",
          cure="remove aws.client.endpoint: aws.region is enough at AWS"),
    # Wave and Fusion.
    Cause(name="fusion-without-wave", pattern=r"Fusion feature requires enabling Wave service",
          cause="fusion.enabled without wave.enabled", cure="set wave.enabled = true beside it"),
    Cause(name="mirror-and-freeze",
          pattern=r"'wave\.mirror' and 'wave\.freeze' conflicts? each other",
          cause="wave.mirror and wave.freeze exclude each other", cure="drop one of the two"),
    Cause(name="wave-unauthorized",
          pattern=r"Unauthorized \[401\] - Verify you have provided a valid access token",
          cause="Wave refuses the access token", cure="renew TOWER_ACCESS_TOKEN where Nextflow "
                                                      "starts, or tower.accessToken"),
    Cause(name="wave-unreachable", pattern=r"Unable to connect (?:to )?Wave service",
          cause="the head node can't reach Wave",
          cure="allow wave.seqera.io; in a network without internet use `mode: carried-cli`"),
    Cause(name="fusion-licence", pattern=r"Unable to validate Fusion license", certainty=LIKELY,
          cause="no token was in reach when Fusion's licence was asked for; the warning also comes "
                "where the token stands in the config alone (nf#5919)",
          cure="export TOWER_ACCESS_TOKEN where Nextflow starts, and let the jobs reach "
               "licenses.seqera.io"),
    Cause(name="wave-not-loaded", certainty=LIKELY, along=(FUSION,),
          pattern=r"\bERROR (?:~|nextflow\.[\w.]{1,60} -)[ \t]*(?:@unknown|null)?[ \t]*(?:\n|\Z)",
          without=(r"(?:Start plugin|Plugin started|Started plugin) '?nf-wave",),
          cause="an error without a text, with Fusion on: the plugin nf-wave was not loaded",
          cure="carry it: `plugins: [nf-wave@VERSION, nf-amazon@VERSION]` in the pipeline's file "
               "(pipelines/), then `doit plugins`"),
    Cause(name="fusion-without-token", certainty=POSSIBLE, along=(FUSION,),
          pattern=r"N E X T F L O W|\bversion \d\d\.\d+\.\d+",
          without=(r"\bERROR\b", r"\bSubmitted process\b|Goodbye|Workflow completed|"
                                 r"\[AWS BATCH\]", r"\bWARN\b", r"Caused by", r"Exception"),
          cause="Nextflow ended without a word, with Fusion on: no access token was given "
                "(nf#7263)", cure="export TOWER_ACCESS_TOKEN where Nextflow starts"),
    Cause(name="fusion-disk", pattern=r"fusionfs\.log[\w.]{0,40}: no space left on device",
          cause="Fusion's cache has filled the instance's disk (nf#3662)",
          cure="use instances with NVMe, or a gp3 volume of 100 GiB and 325 MiB/s (`doit "
               "batch:infra:plan` with `mode: fusion`)"),
    Cause(name="fusion-without-role", pattern=r"NoCredentialProviders",
          cause="Fusion gets no credentials in the job",
          cure="set aws.batch.jobRole, or give the instance role S3 rights and the launch template "
               "a hop limit of 2"),
    Cause(name="fusion-input-output", certainty=LIKELY,
          pattern=r"(?i:exit(?:ed)?[ _-]?(?:status|code)?\"?:?\s{0,6}|code )174\b",
          cause="exit 174 is Fusion's: reading or writing S3 through its file system failed",
          cure="read the job's .fusion.log: rights on the bucket (PutObjectTagging too), a full "
               "disk, or S3 asking for a slower pace"),
    # Pulling and placing the job.
    Cause(name="pull-limit", pattern=r"\btoomanyrequests\b",
          cause="the registry's limit of anonymous pulls is used up",
          cure="give Wave a token with a login for that registry, freeze the images, or mirror "
               "them (`doit images:mirror`, then `doit batch:config`)"),
    Cause(name="pull-unauthorized", pattern=PULL + r"(?:unauthorized|\b401\b|no basic auth)",
          cause="the instance has no login for the image's registry",
          cure="for ECR give the instance role AmazonEC2ContainerRegistryReadOnly; for another "
               "registry set the ECS agent's login in the user data, read from Secrets Manager"),
    Cause(name="pull-no-route",
          pattern=PULL + r"(?:i/o timeout|deadline exceeded|Client\.Timeout|"
                         r"request canceled while waiting)",
          cause="the instance has no route to the image's registry",
          cure="for ECR add the interface endpoints ecr.api and ecr.dkr, and S3's gateway "
               "endpoint; for another registry open port 443 to it"),
    Cause(name="pull-disk", pattern=PULL + r"no space left on device",
          cause="the images have filled the instance's disk (nf#5099)",
          cure="let the launch template have a larger gp3 volume (`doit batch:infra:plan`)"),
    Cause(name="inspect-timeout", pattern=r"CannotInspectContainerError",
          cause="the ECS agent could not look at the container in time: its disk is too slow or "
                "full (nf#3091)",
          cure="use a faster gp3 volume, a newer AMI, and ECS_CONTAINER_STOP_TIMEOUT and "
               "ECS_CONTAINER_START_TIMEOUT of 10 minutes in the user data"),
    Cause(name="spot", pattern=r"Host EC2 \(instance [^)\n]{1,60}\) terminated",
          cause="AWS took the Spot instance back", cure="set aws.batch.maxSpotAttempts (0 by "
                                                        "default since 24.10), or use on-demand "
                                                        "instances"),
    Cause(name="too-large", pattern=r"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
          cause="the job asks for more vCPUs or memory than any instance of the environment has; "
                "Nextflow waits for it for ever (nf#5897)",
          cure="raise the environment's vCPUs, choose larger instance types, or set "
               "process.resourceLimits; `doit batch:lint` names the process"),
    Cause(name="no-capacity", pattern=r"INSUFFICIENT_INSTANCE_CAPACITY",
          cause="AWS has no such instance free at the moment",
          cure="name more instance types and availability zones, or wait"),
    Cause(name="service-role", pattern=r"CLIENT_ERROR - Not authorized to perform sts:AssumeRole",
          cause="Batch may not take on the compute environment's service role",
          cure="let the role trust batch.amazonaws.com, or leave it out: Batch then uses its "
               "service-linked role"),
)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern as it is matched: case counts, and a dot stands for no line's end."""
    return re.compile(pattern)
