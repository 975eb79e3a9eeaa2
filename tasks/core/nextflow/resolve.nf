// What `nextflow run -profile PROFILE -params-file PARAMS -c CONFIG… PROJECT` resolves, as JSON:
// nextflow run resolve.nf PROJECT PROFILE PARAMS CONFIG…
import java.nio.file.Path
import nextflow.cli.CliOptions
import nextflow.cli.CmdRun
import nextflow.config.ConfigBuilder
import nextflow.util.ConfigHelper

def (project, profile, file) = args.take(3)
def asked = new CmdRun(profile: profile, paramsFile: file, runConfig: args.drop(3) as List)
def builder = new ConfigBuilder()
    .setShowClosures(true)
    .setStripSecrets(true)
    .showMissingVariables(true)
    .setOptions(new CliOptions())
    .setCmdRun(asked)
    .setBaseDir(Path.of(project))
println ConfigHelper.toJsonString(builder.buildConfigObject())
