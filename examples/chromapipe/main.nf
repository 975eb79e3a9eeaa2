#!/usr/bin/env nextflow
/*
    airlock/chromapipe: what is known of a chromosome's proteins, and what their structures say
*/

include { CHROMAPIPE } from './workflows/chromapipe'

workflow {
    CHROMAPIPE(params.input, params.chromosomes)
}
