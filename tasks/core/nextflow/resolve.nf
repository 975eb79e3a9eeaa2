// What `nextflow run -profile PROFILE -params-file PARAMS -c CONFIG… PROJECT` would run with, for each
// of several profiles: a list of JSON objects that hold `config` or, where it doesn't resolve, `error`,
// Nextflow's own messages. Each time zone gives all of them; a second or more lies between two zones.
//
// nextflow run resolve.nf ASKED, a JSON file with the keys project, profiles, zones, params and configs
//
// It is written in what the parsers of Nextflow 24.10 to 26.04 all take: no import, and no statement
// outside of a function or the workflow.

// A value of a config as JSON has it. A closure becomes `{ ... }`: Groovy's own writer would run it.
def plain(value, int depth = 0) {
    if (value == null || value instanceof Boolean)
        return value
    if (value instanceof Number) {
        def text = value.toString()
        return text in ['NaN', 'Infinity', '-Infinity'] ? text : value
    }
    if (value instanceof Closure)
        return '{ ... }'
    if (value instanceof GString) {
        def parts = value.getValues().collect { part -> "${plain(part, depth)}".toString() }
        def texts = value.getStrings().toList()
        return [texts, parts + ['']].transpose().flatten().join('')
    }
    if (value instanceof nextflow.util.MemoryUnit || value instanceof nextflow.util.Duration)
        return value  // a map of its units
    if (depth > 60)
        throw new IllegalStateException('a value in it is nested too deeply to be kept')
    if (value instanceof Map)
        return value.collectEntries { key, held ->
            ["${plain(key, depth)}".toString(), plain(held, depth + 1)] }
    if (value instanceof Collection || value.getClass().isArray())
        return value.collect { held -> plain(held, depth + 1) }
    return value.toString()
}

def messages(error) {
    def own = error.message ?: error.getClass().getName()
    return error.cause == null || error.cause.is(error) ? [own] : [own] + messages(error.cause)
}

def resolved(asked, String profile) {
    try {
        def project = java.nio.file.Path.of(asked.project)
        def command = new nextflow.cli.CmdRun(profile: profile, paramsFile: asked.params,
                                              runConfig: asked.configs)
        def builder = new nextflow.config.ConfigBuilder()
            .setShowClosures(true)
            .setStripSecrets(true)
            .showMissingVariables(true)
            .setOptions(new nextflow.cli.CliOptions())
            .setCmdRun(command)
            .setBaseDir(project)
        // From 25.10 on the builder is given the params, before that it asks the command for them.
        if (builder.metaClass.respondsTo(builder, 'setCliParams')) {
            def names = nextflow.config.ConfigBuilder.getConfigVars(project, null)
            builder.setCliParams(command.parsedParams(names))
        }
        def config = builder.buildConfigObject()
        return [config: plain(config.findAll { name, value -> !(value instanceof Map) || value })]
    }
    catch (Throwable error) {
        return [error: messages(error).unique().join('\n')]
    }
}

workflow {
    def asked = new groovy.json.JsonSlurper().parse(new File(args[0]))
    def answers = []
    asked.zones.eachWithIndex { zone, number ->
        if (number > 0)
            sleep(1100)
        if (zone != 'own')
            java.util.TimeZone.setDefault(java.util.TimeZone.getTimeZone(zone))
        asked.profiles.each { profile -> answers << resolved(asked, profile) }
    }
    println groovy.json.JsonOutput.toJson(answers)
}
