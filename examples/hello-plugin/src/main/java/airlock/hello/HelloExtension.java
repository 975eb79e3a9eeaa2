package airlock.hello;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.TreeMap;
import nextflow.Session;
import nextflow.plugin.extension.Function;
import nextflow.plugin.extension.PluginExtensionPoint;

/** The functions that a pipeline includes from {@code plugin/nf-airlock-hello}. */
public class HelloExtension extends PluginExtensionPoint {

    private static final int MARK_BYTES = 8;

    @Override
    protected void init(Session session) {
        // The mark depends on the arguments alone: nothing of the session is needed.
    }

    /**
     * The mark of a run: a short digest of what was counted.
     *
     * <p>It is {@code airlock:} and the first 16 hexadecimal digits of the SHA-256 of the UTF-8
     * lines {@code <sample>\t<reads>\n}, sorted by sample, so that {@code sha256sum} can check it.
     *
     * @param reads the number of reads of each sample, by the sample's name
     * @throws IllegalArgumentException without samples, or with a count that is not a whole number
     */
    @Function
    public String airlockMark(Map<?, ?> reads) {
        if (reads == null || reads.isEmpty()) {
            throw new IllegalArgumentException("airlockMark: there are no samples to mark");
        }
        // Keys may be Groovy strings, which are no java.lang.String.
        Map<String, Long> sorted = new TreeMap<>();
        reads.forEach((sample, count) -> sorted.put(String.valueOf(sample), wholeNumber(sample, count)));

        StringBuilder lines = new StringBuilder();
        sorted.forEach((sample, count) -> lines.append(sample).append('\t').append(count).append('\n'));
        return "airlock:" + hexDigest(lines.toString());
    }

    private static long wholeNumber(Object sample, Object count) {
        if (count instanceof Integer || count instanceof Long) {
            long value = ((Number) count).longValue();
            if (value >= 0) {
                return value;
            }
        }
        throw new IllegalArgumentException(
                "airlockMark: the read count of '" + sample + "' is not a whole number: " + count);
    }

    private static String hexDigest(String text) {
        byte[] digest;
        try {
            digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException missing) {
            throw new IllegalStateException("Every Java platform has SHA-256", missing);
        }
        StringBuilder hex = new StringBuilder();
        for (int i = 0; i < MARK_BYTES; i++) {
            hex.append(String.format("%02x", digest[i]));
        }
        return hex.toString();
    }
}
