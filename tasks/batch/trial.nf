// One job in one container, whose file comes back: what a trial of Batch runs.
process TRIAL {
    container params.container
    publishDir params.outdir, mode: 'copy'

    output:
    path 'result.txt'

    script:
    params.script
}

workflow {
    TRIAL()
}
