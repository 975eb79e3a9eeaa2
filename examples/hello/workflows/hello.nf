include { SEQSTATS_COUNTS  } from '../modules/local/seqstats/counts/main'
include { SEQSTATS_LENGTHS } from '../modules/local/seqstats/lengths/main'
include { SEQSTATS_QUALITY } from '../modules/local/seqstats/quality/main'
include { REPORT_SUMMARY   } from '../modules/local/report/summary/main'
include { countReads       } from '../subworkflows/local/utils_hello_pipeline'
include { workflowVersions } from '../subworkflows/local/utils_hello_pipeline'
include { runPage          } from '../subworkflows/local/utils_hello_pipeline'
include { airlockMark      } from 'plugin/nf-airlock-hello'

workflow HELLO {

    take:
    ch_samplesheet // channel: [ val(meta), [ reads ] ]

    main:
    SEQSTATS_COUNTS(ch_samplesheet)
    SEQSTATS_LENGTHS(ch_samplesheet)
    SEQSTATS_QUALITY(ch_samplesheet)

    // The mark of the run is computed by the plugin from all samples' read counts.
    ch_mark = SEQSTATS_COUNTS.out.tsv
        .map { meta, tsv -> [meta.id, countReads(tsv)] }
        .collect(flat: false)
        .map { counts -> airlockMark(counts.collectEntries()) }

    // Sorted by name, so that a resumed run finds the same inputs in the same order.
    REPORT_SUMMARY(
        SEQSTATS_COUNTS.out.tsv.collect(sort: { it.name }) { _meta, tsv -> tsv },
        SEQSTATS_LENGTHS.out.tsv.collect(sort: { it.name }) { _meta, tsv -> tsv },
        SEQSTATS_QUALITY.out.tsv.collect(sort: { it.name }) { _meta, tsv -> tsv },
        ch_mark,
        params.title
    )

    SEQSTATS_COUNTS.out.versions
        .mix(SEQSTATS_LENGTHS.out.versions, SEQSTATS_QUALITY.out.versions, REPORT_SUMMARY.out.versions)
        .map { yaml -> yaml.text.trim().replaceFirst(/"(\w+:)*(\w+)":/, '$2:') }
        .mix(channel.of(workflowVersions()))
        .unique()
        .collectFile(
            storeDir: "${params.outdir}/pipeline_info",
            name: 'hello_software_versions.yml',
            sort: true,
            newLine: true
        )

    // What differs between runs stands apart: the results themselves are the same each time.
    SEQSTATS_COUNTS.out.image
        .mix(SEQSTATS_LENGTHS.out.image, SEQSTATS_QUALITY.out.image, REPORT_SUMMARY.out.image)
        .unique()
        .toList()
        .map { images -> runPage(images) }
        .collectFile(storeDir: "${params.outdir}/pipeline_info", name: 'hello_run.html')

    emit:
    summary = REPORT_SUMMARY.out.html // channel: [ path(summary.html) ]
}
