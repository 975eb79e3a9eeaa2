process FETCH_PDB {
    tag "$chromosome"
    label 'process_fetch'

    container 'airlock/chromapipe:1.0'

    input:
    tuple val(chromosome), val(proteins), path(given, stageAs: 'given/*')
    val base

    output:
    tuple val(chromosome), path('structures'), emit: structures
    tuple val("${task.process}"), val("${task.container}"), emit: image

    script:
    """
    fetch_pdb ${base ? "--base '${base}'" : ''} --given given --retries ${params.fetch_retries} \\
        --timeout ${params.fetch_timeout} --out structures ${proteins.join(' ')}
    """

    stub:
    """
    mkdir structures
    touch structures/P05067.pdb
    """
}
