// What Nextflow's strict parser (v2) says of a config: a line for each error, then how many.
import nextflow.config.control.ConfigParser

def parser = new ConfigParser()
def source = parser.parse(new File(args[0]))
parser.analyze()
def errors = source.errorCollector.errors ?: []
errors.each { println it.cause.message }
println "errors: ${errors.size()}"
