package airlock.standin;

import groovy.json.JsonSlurper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import nextflow.file.FileHelper;

/** What params and sheets have in common: a schema's file, and one value against its property. */
final class Schemas {

    private Schemas() {
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> read(Path schema) {
        return (Map<String, Object>) new JsonSlurper().parse(schema.toFile());
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> mapping(Object value) {
        return value instanceof Map ? (Map<String, Object>) value : Map.of();
    }

    static List<?> list(Object value) {
        return value instanceof List ? (List<?>) value : List.of();
    }

    static boolean isFile(Map<String, Object> property) {
        return "file-path".equals(property.get("format"));
    }

    static Path path(String text) {
        return FileHelper.asPath(text);
    }

    /** What is wrong with a value that is given; `where` begins each fault. */
    static List<String> faults(String where, String value, Map<String, Object> property) {
        List<String> faults = new ArrayList<>();
        Object pattern = property.get("pattern");
        if (pattern != null && !Pattern.compile(pattern.toString()).matcher(value).find()) {
            faults.add(where + ": '" + value + "' does not match " + pattern);
        }
        // Looking at a bucket would ask for one more plugin; nf-schema does not look either.
        boolean looked = Boolean.TRUE.equals(property.get("exists")) && isFile(property)
                && !value.startsWith("s3://");
        if (looked && !Files.exists(path(value))) {
            faults.add(where + ": the file or directory '" + value + "' does not exist");
        }
        return faults;
    }
}
