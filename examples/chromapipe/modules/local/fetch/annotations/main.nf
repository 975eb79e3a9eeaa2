process FETCH_ANNOTATIONS {
    tag "$chromosome"
    label 'process_fetch'

    container 'airlock/chromapipe:1.0'

    input:
    tuple val(chromosome), val(proteins), path(given, stageAs: 'given/*')
    val base

    output:
    tuple val(chromosome), path('annotations.tsv'), emit: table
    tuple val("${task.process}"), val("${task.container}"), emit: image

    script:
    """
    fetch_annotations ${base ? "--base '${base}'" : ''} --given given --retries ${params.fetch_retries} \\
        --timeout ${params.fetch_timeout} --out annotations.tsv ${proteins.join(' ')}
    """

    stub:
    """
    touch annotations.tsv
    """
}
