package airlock.standin;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nextflow.exception.AbortOperationException;

/** A pipeline's nextflow_schema.json: its groups of params stand below $defs or definitions. */
final class Params {

    private final List<Map<String, Object>> groups = new ArrayList<>();

    Params(Path file) {
        Map<String, Object> schema = Schemas.read(file);
        for (String place : List.of("$defs", "definitions")) {
            Schemas.mapping(schema.get(place)).values()
                    .forEach(group -> groups.add(Schemas.mapping(group)));
        }
    }

    List<String> faults(Map<String, Object> params) {
        List<String> faults = new ArrayList<>();
        for (Map<String, Object> group : groups) {
            for (Object name : Schemas.list(group.get("required"))) {
                if (isEmpty(params.get(name.toString()))) {
                    faults.add("--" + name + " is required");
                }
            }
            properties(group).forEach((name, property) -> {
                Object value = params.get(name);
                if (value instanceof CharSequence && !isEmpty(value)) {
                    faults.addAll(Schemas.faults("--" + name, value.toString(), property));
                }
            });
        }
        return faults;
    }

    Map<String, Map<String, Object>> changed(Map<String, Object> params) {
        Map<String, Map<String, Object>> found = new LinkedHashMap<>();
        for (Map<String, Object> group : groups) {
            Map<String, Object> changed = new LinkedHashMap<>();
            properties(group).forEach((name, property) -> {
                Object value = params.get(name);
                if (!isEmpty(value) && !same(value, property.get("default"))) {
                    changed.put(name, value);
                }
            });
            found.put(String.valueOf(group.get("title")), changed);
        }
        return found;
    }

    /** The path of the schema for the samplesheet that a param names. */
    String sheetSchema(String param) {
        for (Map<String, Object> group : groups) {
            Map<String, Object> property = properties(group).get(param);
            if (property != null && property.get("schema") != null) {
                return property.get("schema").toString();
            }
        }
        throw new AbortOperationException("--" + param + " has no schema for its sheet");
    }

    private static Map<String, Map<String, Object>> properties(Map<String, Object> group) {
        Map<String, Map<String, Object>> found = new LinkedHashMap<>();
        Schemas.mapping(group.get("properties"))
                .forEach((name, property) -> found.put(name, Schemas.mapping(property)));
        return found;
    }

    private static boolean same(Object value, Object preset) {
        return Objects.equals(String.valueOf(value), String.valueOf(preset));
    }

    private static boolean isEmpty(Object value) {
        return value == null || Boolean.FALSE.equals(value) || value.toString().isEmpty();
    }
}
