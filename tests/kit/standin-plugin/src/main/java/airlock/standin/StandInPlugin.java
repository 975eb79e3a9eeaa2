package airlock.standin;

import nextflow.plugin.BasePlugin;
import org.pf4j.PluginWrapper;

/** The plugin's entry point, named as Plugin-Class in the manifest. */
public class StandInPlugin extends BasePlugin {

    public StandInPlugin(PluginWrapper wrapper) {
        super(wrapper);
    }
}
