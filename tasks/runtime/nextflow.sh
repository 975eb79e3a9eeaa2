#!/bin/sh
# Starts the Nextflow that lies beside this script; it downloads nothing.
# JAVA_CMD names the Java (default: the PATH's), NXF_OPTS adds options for it.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
# Without NXF_HOME the plugin system starts in its developers' mode, which loads no defaults.
export NXF_HOME="${NXF_HOME:-$HOME/.nextflow}"
opened=
for package in java.lang java.io java.nio java.net java.util java.util.concurrent.locks \
    java.util.concurrent.atomic java.util.regex java.nio.file.spi sun.nio.ch sun.nio.fs \
    sun.net.www.protocol.http sun.net.www.protocol.https sun.net.www.protocol.ftp \
    sun.net.www.protocol.file jdk.internal.misc jdk.internal.vm; do
    opened="$opened --add-opens=java.base/$package=ALL-UNNAMED"
done
# shellcheck disable=SC2086 # lists of options, split on purpose
exec "${JAVA_CMD:-java}" $opened ${NXF_OPTS:-} -cp "$here/lib/*" nextflow.cli.Launcher "$@"
