/*
    What stands around the analysis: parameters and samplesheet at its start, a message at its end
*/

workflow PIPELINE_INITIALISATION {

    take:
    input  // string: samplesheet, a path or URL
    outdir // string: folder of the results

    main:
    if (!input || !outdir) {
        error("Give the samplesheet with --input and a folder for the results with --outdir, or try -profile test --outdir results")
    }

    emit:
    samplesheet = channel.fromList(readSamplesheet(input)) // channel: [ val(meta), [ reads ] ]
}

workflow PIPELINE_COMPLETION {

    take:
    outdir // string: folder of the results

    main:
    workflow.onComplete = {
        if (workflow.success && !workflow.preview) {
            log.info("Summary page: ${outdir}/summary/summary.html")
        }
    }
}

// The samples of a samplesheet as [ meta, [ reads ] ]. Rows of the same sample are runs of it:
// their reads come in one list. All faults are reported at once.
def readSamplesheet(input) {
    def sheet = file(input, checkIfExists: true, glob: false)
    def lines = sheet.splitCsv(strip: true, quote: '"')
    // Spreadsheet programs put a byte order mark before the first column's name.
    def header = lines ? lines.head().collect { name -> name?.replaceFirst('^\uFEFF', '') } : []
    def missing = ['sample', 'fastq_1', 'fastq_2'] - header
    if (missing) {
        error("Samplesheet ${input}: the header must name sample,fastq_1,fastq_2; it lacks ${missing.join(', ')}")
    }
    def rows = lines.tail().collect { line -> [header, line].transpose().collectEntries() }
    if (!rows) {
        error("Samplesheet ${input}: there are no rows below the header")
    }

    def samples = rows.groupBy { row -> row.sample }
    def faults = rows.withIndex(1).collectMany { row, number -> rowFaults(row).collect { fault -> "row ${number}: ${fault}" } }
    faults += samples.collectMany { name, runs -> sampleFaults(runs).collect { fault -> "sample '${name}': ${fault}" } }
    if (faults) {
        error("Samplesheet ${input} has faults:\n" + faults.collect { fault -> "  - ${fault}" }.join('\n'))
    }

    return samples.collect { name, runs ->
        [[id: name, single_end: !runs[0].fastq_2], runs.collectMany { row -> cells(row) }.collect { cell -> file(cell, glob: false) }]
    }
}

// The FASTQ cells of a row that are filled.
def cells(row) {
    return [row.fastq_1, row.fastq_2].findAll()
}

// What is wrong with one row, as a list of messages.
def rowFaults(row) {
    def faults = []
    if (!(row.sample ==~ /[A-Za-z0-9][A-Za-z0-9._-]*/)) {
        faults << "sample '${row.sample ?: ''}' must begin with a letter or digit and hold only letters, digits, '.', '_' and '-'"
    }
    if (!row.fastq_1) {
        faults << "fastq_1 is empty"
    }
    cells(row).each { cell ->
        if (!(cell ==~ /\S+\.f(ast)?q\.gz/)) {
            faults << "${cell} must end in .fastq.gz or .fq.gz and hold no spaces"
        }
        else if (!isThere(cell)) {
            faults << "${cell} does not exist or cannot be reached"
        }
    }
    return faults
}

// What is wrong with all rows of one sample taken together, as a list of messages.
def sampleFaults(runs) {
    def faults = []
    if (runs.collect { row -> !row.fastq_2 }.unique().size() > 1) {
        faults << "its rows must be all paired or all single-end"
    }
    def repeated = runs.collectMany { row -> cells(row) }.countBy { cell -> cell }.findAll { _cell, times -> times > 1 }
    repeated.keySet().each { cell -> faults << "${cell} is given more than once" }
    return faults
}

// Whether a path or URL can be read. A host that cannot be reached is a fault of the row as well.
def isThere(cell) {
    try {
        return file(cell, glob: false).exists()
    }
    catch (Exception e) {
        log.debug("Cannot look for ${cell}", e)
        return false
    }
}

// The number of reads in a counts table, both mates together.
def countReads(tsv) {
    return tsv.splitCsv(header: true, sep: '\t').sum(0L) { row -> row.reads as long }
}

// What nf-core pipelines say of themselves in their list of versions.
def workflowVersions() {
    return """\
        Workflow:
            ${workflow.manifest.name}: ${workflow.manifest.version}
            Nextflow: ${workflow.nextflow.version}
        """.stripIndent().trim()
}

// The page that names date, release and images of this run. nf-airlock says by two variables of the
// environment which release it has started, and under which name; without it nobody knows.
def runPage(images) {
    def about = [
        'Date'    : workflow.start.toInstant().toString().take(19).replace('T', ' ') + ' UTC',
        'Release' : System.getenv('AIRLOCK_RELEASE') ?: 'none, it was not started by nf-airlock',
        'Run'     : System.getenv('AIRLOCK_RUN') ?: workflow.runName,
        'Pipeline': "${workflow.manifest.name} ${workflow.manifest.version}${workflow.commitId ? ", commit ${workflow.commitId}" : ''}",
        'Nextflow': workflow.nextflow.version
    ]
    def rows = about.collect { name, value -> "<dt>${name}</dt><dd>${escaped(value)}</dd>" }
    def used = images.groupBy { row -> row[1] }.collect { image, rows_of ->
        def names = rows_of.collect { row -> row[0].tokenize(':').last() }.sort().join('<br>')
        "<dt>${names}</dt><dd><code>${escaped(image)}</code></dd>"
    }
    return """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>This run of ${workflow.manifest.name}</title>
<style>
:root { color-scheme: light dark; --page: #ffffff; --text: #1b232c; --soft: #566270; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --text: #e6eaef; --soft: #a3afbc; } }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h2 { margin: 1rem 0 0.3rem; font-size: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.4rem; } }
</style>
</head>
<body>
<dl>
${rows.join('\n')}
</dl>
<h2>Images</h2>
<dl>
${used.join('\n')}
</dl>
</body>
</html>
"""
}

// A text as HTML shows it.
def escaped(text) {
    return text.toString().replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;')
}
