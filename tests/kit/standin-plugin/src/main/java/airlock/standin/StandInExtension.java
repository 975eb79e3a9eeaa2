package airlock.standin;

import groovyx.gpars.dataflow.DataflowWriteChannel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nextflow.Session;
import nextflow.exception.AbortOperationException;
import nextflow.extension.CH;
import nextflow.plugin.extension.Factory;
import nextflow.plugin.extension.Function;
import nextflow.plugin.extension.PluginExtensionPoint;
import nextflow.script.WorkflowMetadata;

/** What pipelines include from {@code plugin/nf-schema} or {@code plugin/nf-validation}. */
public class StandInExtension extends PluginExtensionPoint {

    private static final List<String> SCHEMA_OPTIONS =
            List.of("parametersSchema", "parameters_schema");

    private Session session;

    @Override
    protected void init(Session given) {
        session = given;
    }

    /** Validate the params against the pipeline's schema; all faults are named at once. */
    @Function
    public void validateParameters(Map<String, ?> options) {
        List<String> faults = schema(options).faults(params());
        if (!faults.isEmpty()) {
            throw new AbortOperationException(
                    "The params do not fit the schema:\n  " + String.join("\n  ", faults));
        }
    }

    @Function
    public void validateParameters() {
        validateParameters(Map.of());
    }

    /** The rows of a samplesheet, as its schema says. */
    @Function
    public List<List<Object>> samplesheetToList(Object sheet, Object schema) {
        return new Sheet(path(schema)).rows(path(sheet));
    }

    /** A channel of the rows of the samplesheet that a param names. */
    @Factory
    public DataflowWriteChannel<?> fromSamplesheet(CharSequence param) {
        String name = param.toString();
        Path schema = session.getBaseDir().resolve(schema(Map.of()).sheetSchema(name));
        DataflowWriteChannel<?> rows = CH.create();
        CH.emitAndClose(rows, new Sheet(schema).rows(path(params().get(name))));
        return rows;
    }

    /** The params that differ from their defaults, by the schema's groups. */
    @Function
    public Map<String, Map<String, Object>> paramsSummaryMap(
            Map<String, ?> options, WorkflowMetadata workflow) {
        Map<String, Map<String, Object>> summary = new LinkedHashMap<>();
        summary.put("Core Nextflow options", Map.of("runName", workflow.getRunName()));
        summary.putAll(schema(options).changed(params()));
        return summary;
    }

    @Function
    public Map<String, Map<String, Object>> paramsSummaryMap(WorkflowMetadata workflow) {
        return paramsSummaryMap(Map.of(), workflow);
    }

    /** The same as text. */
    @Function
    public String paramsSummaryLog(Map<String, ?> options, WorkflowMetadata workflow) {
        StringBuilder text = new StringBuilder("stand-in for the plugin's summary\n");
        paramsSummaryMap(options, workflow).forEach((group, changed) -> {
            text.append(group).append('\n');
            changed.forEach((name, value) ->
                    text.append("  ").append(name).append(": ").append(value).append('\n'));
        });
        return text.toString();
    }

    @Function
    public String paramsSummaryLog(WorkflowMetadata workflow) {
        return paramsSummaryLog(Map.of(), workflow);
    }

    /** The command that a user types. */
    @Function
    public String paramsHelp(Map<String, ?> options, String command) {
        return command;
    }

    private Params schema(Map<String, ?> options) {
        Object named = SCHEMA_OPTIONS.stream().map(name -> (Object) options.get(name))
                .filter(value -> value != null).findFirst().orElse("nextflow_schema.json");
        return new Params(session.getBaseDir().resolve(named.toString()));
    }

    private Map<String, Object> params() {
        return session.getParams();
    }

    private static Path path(Object given) {
        return given instanceof Path ? (Path) given : Schemas.path(given.toString());
    }
}
