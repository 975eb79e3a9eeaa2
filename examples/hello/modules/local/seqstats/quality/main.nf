process SEQSTATS_QUALITY {
    tag "$meta.id"
    label 'process_single'

    container "${ workflow.containerEngine == 'singularity' && !task.ext.singularity_pull_docker_container ?
        'https://depot.hello.example.org/singularity/airlock-seqstats:1.0' :
        'airlock/seqstats:1.0' }"

    input:
    tuple val(meta), path(reads, stageAs: 'run?/*')

    output:
    tuple val(meta), path("*.quality.tsv"), emit: tsv
    path "versions.yml"                 , emit: versions
    tuple val("${task.process}"), val("${task.container}"), emit: image

    when:
    task.ext.when == null || task.ext.when

    script:
    def prefix = task.ext.prefix ?: "${meta.id}"
    def layout = meta.single_end ? 'single' : 'paired'
    """
    seqstats quality ${meta.id} ${layout} ${reads} > ${prefix}.quality.tsv

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        busybox: \$(busybox | sed -n '1s/^BusyBox v\\([^ ]*\\).*/\\1/p')
    END_VERSIONS
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    printf 'sample\\tmate\\tposition\\tbases\\tmean_quality\\n' > ${prefix}.quality.tsv

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        busybox: \$(busybox | sed -n '1s/^BusyBox v\\([^ ]*\\).*/\\1/p')
    END_VERSIONS
    """
}
