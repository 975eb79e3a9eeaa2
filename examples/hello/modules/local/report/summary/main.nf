process REPORT_SUMMARY {
    label 'process_low'

    container "${ workflow.containerEngine == 'singularity' && !task.ext.singularity_pull_docker_container ?
        'https://depot.hello.example.org/singularity/airlock-report:1.0' :
        'docker.io/airlock/report:1.0' }"

    input:
    path counts , stageAs: 'counts/*'
    path lengths, stageAs: 'lengths/*'
    path quality, stageAs: 'quality/*'
    val mark
    val title

    output:
    path "summary.html"    , emit: html
    path "summary.tsv"     , emit: tsv
    path "airlock_mark.txt", emit: mark
    path "versions.yml"    , emit: versions
    tuple val("${task.process}"), val("${task.container}"), emit: image

    when:
    task.ext.when == null || task.ext.when

    script:
    // The title is the user's text: inside single quotes the shell takes all of it literally.
    def quoted = title.toString().replace("'", "'\\''")
    """
    echo '${mark}' > airlock_mark.txt
    summary_table counts/*.tsv lengths/*.tsv quality/*.tsv > summary.tsv
    summary_page '${quoted}' '${mark}' summary.tsv quality/*.tsv > summary.html

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        bash: \${BASH_VERSION%%(*}
        busybox: \$(busybox | sed -n '1s/^BusyBox v\\([^ ]*\\).*/\\1/p')
    END_VERSIONS
    """

    stub:
    """
    echo '${mark}' > airlock_mark.txt
    touch summary.tsv summary.html

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        bash: \${BASH_VERSION%%(*}
        busybox: \$(busybox | sed -n '1s/^BusyBox v\\([^ ]*\\).*/\\1/p')
    END_VERSIONS
    """
}
