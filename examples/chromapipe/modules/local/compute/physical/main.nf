process COMPUTE_PHYSICAL {
    tag "$chromosome"
    label 'process_compute'

    container 'airlock/chromapipe:1.0'

    input:
    tuple val(chromosome), path(structures)

    output:
    tuple val(chromosome), path('physical.tsv'), path('surface.tsv'), emit: tables

    script:
    """
    compute_physical --structures ${structures} --physical physical.tsv --surface surface.tsv
    """

    stub:
    """
    touch physical.tsv surface.tsv
    """
}
