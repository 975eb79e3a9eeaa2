// What `nextflow run -profile PROFILE -params-file PARAMS -c CONFIG… PROJECT` resolves, as a list of
// JSON objects, one for each of the time zones; a second or more lies between two of them:
// nextflow run resolve.nf ZONE,… PROJECT PROFILE PARAMS CONFIG…
import java.nio.file.Path
import nextflow.cli.CliOptions
import nextflow.cli.CmdRun
import nextflow.config.ConfigBuilder
import nextflow.util.ConfigHelper

def (zones, project, profile, file) = args.take(4)
def resolved = zones.split(',').toList().withIndex().collect { zone, number ->
    if (number) sleep(1100)
    if (zone != 'own') TimeZone.setDefault(TimeZone.getTimeZone(zone))
    def asked = new CmdRun(profile: profile, paramsFile: file, runConfig: args.drop(4) as List)
    ConfigHelper.toJsonString(new ConfigBuilder()
        .setShowClosures(true)
        .setStripSecrets(true)
        .showMissingVariables(true)
        .setOptions(new CliOptions())
        .setCmdRun(asked)
        .setBaseDir(Path.of(project))
        .buildConfigObject())
}
println "[${resolved.join(',')}]"
