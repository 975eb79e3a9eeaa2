#!/usr/bin/env nextflow
/*
    airlock/hello: what a FASTQ file holds, on one page
*/

include { HELLO                   } from './workflows/hello'
include { PIPELINE_INITIALISATION } from './subworkflows/local/utils_hello_pipeline'
include { PIPELINE_COMPLETION     } from './subworkflows/local/utils_hello_pipeline'

// The workflow that other pipelines can include.
workflow AIRLOCK_HELLO {

    take:
    samplesheet // channel: [ val(meta), [ reads ] ]

    main:
    HELLO(samplesheet)

    emit:
    summary = HELLO.out.summary // channel: [ path(summary.html) ]
}

workflow {
    PIPELINE_INITIALISATION(params.input, params.outdir)
    AIRLOCK_HELLO(PIPELINE_INITIALISATION.out.samplesheet)
    PIPELINE_COMPLETION(params.outdir)
}
