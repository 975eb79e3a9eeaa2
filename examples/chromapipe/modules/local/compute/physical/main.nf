process COMPUTE_PHYSICAL {
    tag "$chromosome"
    label 'process_compute'

    container 'airlock/chromapipe:1.0'

    input:
    tuple val(chromosome), path(structures)

    output:
    tuple val(chromosome), path('physical.tsv'), path('surface.tsv'), emit: tables
    tuple val("${task.process}"), val("${task.container}"), emit: image

    script:
    """
    compute_physical --structures ${structures} --physical physical.tsv --surface surface.tsv
    """

    stub:
    """
    touch physical.tsv surface.tsv
    """
}
