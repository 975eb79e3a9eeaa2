#!/bin/sh
# Starts the Nextflow that lies beside this script; it downloads nothing.
# JAVA_CMD names the Java (default: the PATH's), NXF_OPTS adds options for it.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
# Without NXF_HOME the plugin system starts in its developers' mode, which loads no defaults.
export NXF_HOME="${NXF_HOME:-$HOME/.nextflow}"
java=$(command -v "${JAVA_CMD:-java}")
# A Java tells its version in a file beside it; asking the program itself takes as long as a start.
release=$(dirname "$(dirname "$(readlink -f "$java")")")/release
if [ -r "$release" ]; then
    major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$release")
else
    major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
fi
options='-Dfile.encoding=UTF-8 -Djava.awt.headless=true'
for package in java.lang java.io java.nio java.net java.util java.util.concurrent.locks \
    java.util.concurrent.atomic java.util.regex java.nio.file.spi sun.nio.ch sun.nio.fs \
    sun.net.www.protocol.http sun.net.www.protocol.https sun.net.www.protocol.ftp \
    sun.net.www.protocol.file jdk.internal.misc jdk.internal.vm; do
    options="$options --add-opens=java.base/$package=ALL-UNNAMED"
done
# From 24 on, Java warns of what Nextflow's libraries do, and will refuse it later.
if [ "${major:-0}" -ge 24 ]; then
    options="$options --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"
fi
# shellcheck disable=SC2086 # lists of options, split on purpose
exec "$java" $options ${NXF_OPTS:-} -cp "$here/lib/*" nextflow.cli.Launcher "$@"
