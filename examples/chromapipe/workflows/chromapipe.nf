include { FETCH_PDB         } from '../modules/local/fetch/pdb/main'
include { FETCH_ANNOTATIONS } from '../modules/local/fetch/annotations/main'
include { COMPUTE_PHYSICAL  } from '../modules/local/compute/physical/main'
include { COMPILE           } from '../modules/local/compile/main'

workflow CHROMAPIPE {

    take:
    input       // string: sheet of proteins, a path or URL
    chromosomes // string: those to compute, with commas between; null for all in the sheet

    main:
    proteins    = readProteins(input, chromosomes)
    ch_proteins = channel.fromList(proteins)

    FETCH_PDB(
        ch_proteins.map { chromosome, rows -> [chromosome, ids(rows, 'structure'), given(rows, 'structure')] },
        params.structures_base ?: ''
    )
    FETCH_ANNOTATIONS(
        ch_proteins.map { chromosome, rows -> [chromosome, ids(rows, 'annotation'), given(rows, 'annotation')] },
        params.annotations_base ?: ''
    )
    COMPUTE_PHYSICAL(FETCH_PDB.out.structures)
    COMPILE(COMPUTE_PHYSICAL.out.tables.join(FETCH_ANNOTATIONS.out.table))

    // What differs between runs stands apart: the results themselves are the same each time.
    FETCH_PDB.out.image
        .mix(FETCH_ANNOTATIONS.out.image, COMPUTE_PHYSICAL.out.image, COMPILE.out.image)
        .unique()
        .toList()
        .map { images -> runPage(images, proteins.collect { row -> row[0] }) }
        .collectFile(storeDir: "${params.outdir}/pipeline_info", name: 'chromapipe_run.html')

    emit:
    compiled = COMPILE.out.compiled // channel: [ val(chromosome), path(parquet) ]
}

// The proteins of a sheet by chromosome: [ [ chromosome, [ row ] ] ]. All faults are reported at once.
def readProteins(input, chromosomes) {
    if (!input || !params.outdir) {
        error("Give the sheet of proteins with --input and a folder for the results with --outdir, or try -profile test --outdir results")
    }
    def rows = file(input, checkIfExists: true, glob: false).splitCsv(header: true, strip: true)
    def faults = rows.withIndex(1).collectMany { row, number ->
        ['chromosome', 'accession'].findAll { name -> !(row[name] ==~ /[A-Za-z0-9]+/) }
            .collect { name -> "row ${number}: ${name} '${row[name] ?: ''}' must be letters and digits" }
    }
    rows.countBy { row -> [row.chromosome, row.accession] }.findAll { _key, times -> times > 1 }
        .each { key, _times -> faults << "${key[1]} stands twice for ${key[0]}" }
    def wanted = chromosomes ? "${chromosomes}".tokenize(',')*.trim() : rows*.chromosome.unique()
    (wanted - rows*.chromosome).each { name -> faults << "there is no protein of ${name}" }
    if (faults || !rows) {
        error("Sheet ${input} has faults:\n" + (faults ?: ['there are no rows']).collect { fault -> "  - ${fault}" }.join('\n'))
    }
    return rows.groupBy { row -> row.chromosome }.findAll { name, _rows -> name in wanted }
        .collect { name, group -> [name, group] }
}

// A protein as a word for a script: its accession, and the file where the sheet names one.
def ids(rows, column) {
    return rows.collect { row -> row[column] ? "${row.accession}=${file(row[column], glob: false).name}" : row.accession }
}

// The files that the sheet names, which Nextflow brings.
def given(rows, column) {
    return rows.findAll { row -> row[column] }.collect { row -> file(row[column], glob: false) }
}

// The page that names date, release and images of this run. nf-airlock says by two variables of the
// environment which release it has started, and under which name; without it nobody knows.
def runPage(images, chromosomes) {
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
    def pictures = chromosomes.sort().collect { name ->
        "<figure><img src=\"../${name}.svg\" alt=\"Proteins of ${name}\"></figure>"
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
body { margin: 0 auto; padding: 1.5rem 1.25rem; max-width: 60rem; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 1rem; font-size: 1.3rem; line-height: 1.25; }
figure { margin: 1.5rem 0 0; }
img { max-width: 100%; height: auto; background: #ffffff; }
h2 { margin: 1rem 0 0.3rem; font-size: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.4rem; } }
</style>
</head>
<body>
<h1>${workflow.manifest.description}</h1>
<dl>
${rows.join('\n')}
</dl>
<h2>Images</h2>
<dl>
${used.join('\n')}
</dl>
${pictures.join('\n')}
</body>
</html>
"""
}

// A text as HTML shows it.
def escaped(text) {
    return text.toString().replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;')
}
