// What each of several profiles of a pipeline resolves to, as a list of JSON objects with `config`
// or, where it doesn't resolve, `error`; all of them once in each time zone:
// nextflow run profiles.nf ZONE,… PROJECT PROFILE…
import groovy.json.JsonOutput
import java.nio.file.Path
import nextflow.cli.CliOptions
import nextflow.cli.CmdRun
import nextflow.config.ConfigBuilder
import nextflow.util.ConfigHelper

def (zones, project) = args.take(2)
def resolved = zones.split(',').toList().withIndex().collectMany { zone, number ->
    if (number) sleep(1100)
    TimeZone.setDefault(TimeZone.getTimeZone(zone))
    args.drop(2).collect { profile ->
        try {
            def text = ConfigHelper.toJsonString(new ConfigBuilder()
                .setShowClosures(true)
                .setStripSecrets(true)
                .showMissingVariables(true)
                .setOptions(new CliOptions())
                .setCmdRun(new CmdRun(profile: profile))
                .setBaseDir(Path.of(project))
                .buildConfigObject())
            return "{\"config\": ${text}}"
        }
        catch (Throwable error) {
            return JsonOutput.toJson([error: error.message ?: error.class.name])
        }
    }
}
println "[${resolved.join(',')}]"
