package airlock.hello;

import nextflow.plugin.BasePlugin;
import org.pf4j.PluginWrapper;

/** The plugin's entry point, named as Plugin-Class in the manifest. */
public class HelloPlugin extends BasePlugin {

    public HelloPlugin(PluginWrapper wrapper) {
        super(wrapper);
    }
}
