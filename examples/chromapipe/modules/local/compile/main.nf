process COMPILE {
    tag "$chromosome"
    label 'process_single'

    container 'airlock/chromapipe:1.0'

    input:
    tuple val(chromosome), path(physical), path(surface), path(annotations)

    output:
    tuple val(chromosome), path("${chromosome}_compiled.parquet"), emit: compiled
    tuple val(chromosome), path("${chromosome}_surface.parquet") , emit: surface
    tuple val(chromosome), path("${chromosome}.svg")             , emit: picture
    tuple val("${task.process}"), val("${task.container}"), emit: image

    script:
    """
    compile_chromosome --chromosome ${chromosome} --physical ${physical} --surface ${surface} \\
        --annotations ${annotations} --out .
    """

    stub:
    """
    touch ${chromosome}_compiled.parquet ${chromosome}_surface.parquet ${chromosome}.svg
    """
}
