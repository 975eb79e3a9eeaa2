#!/bin/sh
# Asks for the login of each registry in config.json.template beside it, without showing a password,
# and writes the Docker config file that is named: sh login.sh /etc/airlock/config.json
set -eu
umask 077
rest=$(cat "$(dirname "$0")/config.json.template")
filled=
while :; do
    case $rest in *@LOGIN*) ;; *) break ;; esac
    address=${rest#*@LOGIN }
    address=${address%%@*}
    printf 'user at %s: ' "$address" >&2
    read -r user
    printf 'password: ' >&2
    if [ -t 0 ]; then trap 'stty echo' EXIT INT TERM; stty -echo; fi
    read -r password
    if [ -t 0 ]; then stty echo; echo >&2; fi
    # printf is the shell's own, so nothing of it stands in a list of processes.
    login=$(printf '%s:%s' "$user" "$password" | base64 | tr -d '\n')
    filled="$filled${rest%%@LOGIN*}$login"
    rest=${rest#*@LOGIN*@}
done
printf '%s%s\n' "$filled" "$rest" >"$1"
echo "written: $1" >&2
