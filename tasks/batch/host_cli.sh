# Brings the AWS CLI to /opt/airlock-cli. What stands before this sets region, url, sha256 and size.
# Needs curl 7.88 or newer, which signs all headers of a request (--aws-sigv4). Secrets go to curl
# in its configuration, on standard input, by a builtin of bash: no process has them as arguments.

metadata=http://169.254.169.254/latest # docs.aws.amazon.com: IMDSv2
cli=/opt/airlock-cli
attempts=5
max_answer=65536 # bytes of an error
nothing=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 # a GET's body, by SHA-256
answer='' status='' header=''

wait_after() { # attempt: 2, 4, 8 and 16 seconds
    sleep "$((2 ** $1))"
}

ask_metadata() { # method, path: sets answer and status; 000 is no answer
    local attempt
    for ((attempt = 1; attempt <= 3; attempt++)); do
        answer=$(printf 'header = "%s"\n' "$header" |
            curl --config - --silent --show-error --noproxy '*' --max-time 5 --request "$1" \
                --write-out '\n%{http_code}' "$metadata/$2")
        status=${answer##*$'\n'}
        answer=${answer%$'\n'*}
        case $status in
        000 | 429 | 5??) [ "$attempt" = 3 ] || wait_after "$attempt" ;;
        *) break ;;
        esac
    done
    [ "$status" = 200 ]
}

field() { # name: the text of that field of the answer
    printf '%s\n' "$answer" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

find_credentials() { # sets key, secret and token to those of the instance's role
    local role
    header='X-aws-ec2-metadata-token-ttl-seconds: 300'
    ask_metadata PUT api/token || fail "the metadata service gives no token (status $status):" \
        "switch it on in the launch template (MetadataOptions: HttpEndpoint, HttpTokens)"
    header="X-aws-ec2-metadata-token: $answer"
    ask_metadata GET meta-data/iam/security-credentials/ || fail "this instance has no role" \
        "(status $status): give the compute environment an instance profile"
    role=${answer%%$'\n'*}
    ask_metadata GET "meta-data/iam/security-credentials/$role" ||
        fail "the metadata service gives no credentials of the role $role (status $status)"
    [ "$(field Code)" = Success ] || fail "the role $role can't be used: $(field Code)" \
        "$(field Message); does it trust ec2.amazonaws.com?"
    key=$(field AccessKeyId) secret=$(field SecretAccessKey) token=$(field Token)
    log "working as the role $role"
}

fetch() { # one signed request into $work/bundle: sets status, returns curl's own
    status=$(printf 'user = "%s:%s"\nheader = "x-amz-security-token: %s"\n' \
        "$key" "$secret" "$token" |
        curl --config - --aws-sigv4 "aws:amz:$region:s3" --silent --show-error \
            --header "x-amz-content-sha256: $nothing" --output "$work/bundle" \
            --connect-timeout 10 --speed-limit 1000 --speed-time 60 \
            --max-filesize "$((size + max_answer))" --write-out '%{http_code}' "$url")
}

code() { # the error's name in S3's answer
    head -c "$max_answer" "$work/bundle" | sed -n 's:.*<Code>\([A-Za-z]*\)</Code>.*:\1:p'
}

refuse() { # S3 gave an answer that asking again won't change
    case $status in
    403) fail "S3 refuses (403 $(code)) $url: let the instance's role do s3:GetObject there, and" \
        "kms:Decrypt with the bucket's key" ;;
    404) fail "S3 has no such file (404 $(code)): $url: run 'doit batch:host' again" ;;
    *) fail "S3 answers $status $(code): $url: compare the bucket's region with $region" ;;
    esac
}

download() {
    local attempt result
    for ((attempt = 1; attempt <= attempts; attempt++)); do
        fetch
        result=$?
        case $result:$status in
        0:200) return ;;
        0:408 | 0:429 | 0:5??) log "S3 answers $status" ;;
        0:*) refuse ;;
        2:*) fail "curl can't sign requests: 7.88 or newer is needed" ;;
        23:*) fail "no space for the AWS CLI below /opt: give the launch template a larger disk" ;;
        60:* | 77:*) fail "S3's certificate is not trusted here: $url" ;;
        63:*) fail "the file is larger than the $size bytes that were pinned: $url" ;;
        *) log "no connection to S3 (curl: $result)" ;;
        esac
        [ "$attempt" = "$attempts" ] || wait_after "$attempt"
    done
    fail "S3 can't be reached after $attempts attempts: $url: the subnet needs a route to it" \
        "(gateway endpoint), the security group port 443"
}

place() { # the checked bundle becomes $cli, whole or not at all
    printf '%s  %s\n' "$sha256" "$work/bundle" | sha256sum --check --status ||
        fail "the file's SHA-256 is not $sha256, so nothing of it is used: $url"
    { mkdir "$work/cli" && tar -xzf "$work/bundle" -C "$work/cli" --no-same-owner; } ||
        fail "the AWS CLI can't be unpacked below /opt: give the launch template a larger disk"
    version=$("$work/cli/bin/aws" --version) || fail "the AWS CLI doesn't run on this instance"
    printf '%s\n' "$sha256" >"$work/cli/.sha256"
    [ ! -e "$cli" ] || mv -T "$cli" "$work/before" || fail "$cli can't be replaced"
    mv -T "$work/cli" "$cli" || fail "$cli can't be made"
    log "$cli: $version"
}

if [ "$(cat "$cli/.sha256" 2>/dev/null)" = "$sha256" ]; then
    log "$cli is there already"
    exit 0
fi
rm -rf /opt/.airlock-cli.* # of a start that was cut off
work=$(mktemp -d /opt/.airlock-cli.XXXXXX) || fail "no folder can be made below /opt"
trap 'rm -rf "$work"' EXIT
find_credentials
download
place
