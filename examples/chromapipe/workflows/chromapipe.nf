include { FETCH_PDB         } from '../modules/local/fetch/pdb/main'
include { FETCH_ANNOTATIONS } from '../modules/local/fetch/annotations/main'
include { COMPUTE_PHYSICAL  } from '../modules/local/compute/physical/main'
include { COMPILE           } from '../modules/local/compile/main'

workflow CHROMAPIPE {

    take:
    input       // string: sheet of proteins, a path or URL
    chromosomes // string: those to compute, with commas between; null for all in the sheet

    main:
    ch_proteins = channel.fromList(readProteins(input, chromosomes))

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
